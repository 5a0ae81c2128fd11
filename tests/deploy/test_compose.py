"""docker-compose.yml: valid against the Compose Specification, hardened, and in agreement with the command line.

No container engine runs in the tests. What can be held without one is held: names, ports, commands, mounts, limits.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import typer.main
from jsonschema import Draft201909Validator
from ruamel.yaml import YAML

from engine.settings_file import read_settings, resolve_env
from nearcast.cli import app
from tests.deploy.watching import ROOT

COMPOSE: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SPECIFICATION: dict[str, Any] = json.loads((ROOT / "tests/fixtures/schemas/compose-spec.json").read_text())
SETTINGS, MISTAKES = read_settings((ROOT / "deploy/compose/nearcast.yaml").read_bytes())
ROLES = ("gateway", "worker-1", "worker-2", "dispatcher")
OURS = [name for name, service in SERVICES.items() if service["image"] == "nearcast"]


def refused(compose: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in Draft201909Validator(SPECIFICATION).iter_errors(compose)]


def test_it_is_what_the_specification_takes() -> None:
    assert not refused(COMPOSE)


def test_the_specification_refuses_what_is_wrong() -> None:
    kafka = SERVICES["kafka"]
    for wrong in ({"comand": "x"}, {"healthcheck": {"tests": "x"}}, {"deploy": {"resources": {"limit": {}}}}):
        assert refused({**COMPOSE, "services": {**SERVICES, "kafka": kafka | wrong}}), wrong


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened_limited_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == ("on-failure" if name == "topics" else "unless-stopped")
    assert {"cpus", "memory"} == set(service["deploy"]["resources"]["limits"])
    assert name in ("crowd", "topics") or service["healthcheck"]["test"][0] == "CMD"
    user = service["user"] if name not in OURS else user_of_the_image()
    assert int(user.partition(":")[0]) > 0


def user_of_the_image() -> str:
    [user] = re.findall(r"^USER (\S+)$", (ROOT / "deploy/Dockerfile").read_text(), flags=re.MULTILINE)
    return str(user)


def test_there_are_two_gateways_behind_a_balancer_two_workers_and_a_dispatcher() -> None:
    assert {name: SERVICES[name]["deploy"].get("replicas", 1) for name in ROLES} == {
        "gateway": 2, "worker-1": 1, "worker-2": 1, "dispatcher": 1,
    }  # fmt: skip
    assert not [name for name in ROLES if "ports" in SERVICES[name]], "two containers cannot share one port"
    balancer = (ROOT / "deploy/compose/haproxy.cfg").read_text()
    assert re.search(rf"^ +server-template gateway [0-9]+ gateway:{SETTINGS.port} ", balancer, flags=re.MULTILINE)
    [bound] = re.findall(r"^ +bind :([0-9]+)$", balancer, flags=re.MULTILINE)
    assert SERVICES["balancer"]["ports"] == [f"127.0.0.1:8080:{bound}"]


def test_the_commands_are_those_of_the_command_line() -> None:
    commands: dict[str, Any] = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    called = {name: SERVICES[name]["command"] for name in OURS}
    for program, command, site, *words in called.values():
        assert (program, site) == ("nearcast", "/srv/site") and command in commands
        options = {name for parameter in commands[command].params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options
    assert {name: command for name, (_, command, *_) in called.items()} == {
        "topics": "worker", "gateway": "gateway", "worker-1": "worker", "worker-2": "worker",
        "dispatcher": "dispatcher", "crowd": "crowd",
    }  # fmt: skip
    assert called["topics"][-1] == "--create-topics"
    assert [called[name][-2:] for name in ("worker-1", "worker-2")] == [["--instance", f"worker-{n}"] for n in (1, 2)]
    assert called["crowd"][-2:] == ["--to", "http://balancer:8080"]


def test_every_role_listens_beyond_its_container_where_it_is_watched() -> None:
    for name in ROLES:
        words = SERVICES[name]["command"]
        listen = words[words.index("--listen") + 1] if "--listen" in words else f"{SETTINGS.host}:{SETTINGS.port}"
        assert listen == "0.0.0.0:8080", name
        assert "http://127.0.0.1:8080/readyz" in SERVICES[name]["healthcheck"]["test"][-1]


def test_the_servers_are_where_the_settings_say() -> None:
    assert not MISTAKES
    kafka = SERVICES["kafka"]["environment"]
    assert SETTINGS.cluster.brokers == (kafka["KAFKA_ADVERTISED_LISTENERS"].removeprefix("PLAINTEXT://"),)
    assert SETTINGS.cluster.redis == "redis://redis:6379/0"
    assert SETTINGS.cluster.replicas == 1
    assert not resolve_env(SETTINGS, {name: name for name in SERVICES["gateway"]["environment"]})[1]
    for name in ROLES:
        assert SERVICES[name]["depends_on"] == {
            "topics": {"condition": "service_completed_successfully"}, "redis": {"condition": "service_healthy"},
        }  # fmt: skip


def test_prometheus_scrapes_every_role_by_its_name_and_port() -> None:
    scraped = YAML(typ="safe", pure=True).load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    [job] = scraped["scrape_configs"]
    [found] = job["dns_sd_configs"]
    assert (set(found["names"]), found["port"]) == ({"gateway", "worker", "dispatcher"}, SETTINGS.port)
    aliases = [SERVICES[f"worker-{n}"]["networks"]["default"]["aliases"] for n in (1, 2)]
    assert aliases == [["worker"], ["worker"]], "the two workers are found by one name"
