"""The Kubernetes manifests: valid against the API's own schemas, hardened, and in agreement with the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from engine.settings_file import read_settings, resolve_env
from nearcast.cli import app
from tests.deploy.watching import ROOT

FOLDER = ROOT / "deploy/kubernetes"
SCHEMAS: dict[str, Any] = json.loads((ROOT / "tests/fixtures/schemas/kubernetes-1.34.json").read_text())
COMMANDS: dict[str, Any] = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
ROLES = ("gateway", "worker", "dispatcher")
OVERLAYS = ("base", "try")


def documents(path: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(path.read_text()))


def resources(overlay: str) -> list[dict[str, Any]]:
    """All that an overlay brings, what it takes from another one too; without what kustomize generates."""
    folder = FOLDER / overlay
    [kustomization] = documents(folder / "kustomization.yaml")
    found = []
    for name in kustomization["resources"]:
        path = (folder / name).resolve()
        found += resources(path.name) if path.is_dir() else documents(path)
    return found


def workloads(overlay: str) -> dict[str, dict[str, Any]]:
    return {r["metadata"]["name"]: r for r in resources(overlay) if r["kind"] in ("Deployment", "StatefulSet")}


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = workload["spec"]["template"]["spec"]
    return spec


def options_of(command: str) -> set[str]:
    return {name for parameter in COMMANDS[command].params for name in parameter.opts}


def refused(resource: dict[str, Any]) -> list[str]:
    """What the API's schema says against a resource."""
    schema = SCHEMAS["kinds"][resource["kind"]] | {"$defs": SCHEMAS["$defs"]}
    return [f"{error.json_path}: {error.message}" for error in Draft7Validator(schema).iter_errors(resource)]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_manifest_is_what_the_api_takes(overlay: str) -> None:
    for resource in resources(overlay):
        assert not refused(resource), (resource["kind"], resource["metadata"]["name"])


def test_the_schemas_refuse_what_is_wrong() -> None:
    [gateway] = [
        r for r in resources("base") if r["metadata"]["name"] == "nearcast-gateway" and r["kind"] == "Deployment"
    ]
    assert refused(gateway | {"spec": gateway["spec"] | {"replicas": "two"}})
    assert refused(gateway | {"spec": gateway["spec"] | {"replica": 2}})
    assert refused({k: v for k, v in gateway.items() if k != "spec"} | {"spec": {}})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_builds_it_and_what_comes_out_is_valid_too(overlay: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(["kubectl", "kustomize", FOLDER / overlay], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = list(YAML(typ="safe", pure=True).load_all(done.stdout))
    assert len(built) > len(resources(overlay))
    for resource in built:
        assert not refused(resource), (resource["kind"], resource["metadata"]["name"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_container_is_hardened_limited_and_watched(overlay: str) -> None:
    for name, workload in workloads(overlay).items():
        spec = pod(workload)
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            }, name  # fmt: skip
            assert {"cpu", "memory"} == set(container["resources"]["limits"]), name
        watched = {"livenessProbe", "readinessProbe"} <= spec["containers"][0].keys()
        assert watched or name == "nearcast-crowd", name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_called_mounted_and_asked_for_exists(overlay: str) -> None:
    made = {(r["kind"], r["metadata"]["name"]) for r in resources(overlay)}
    for name, workload in workloads(overlay).items():
        spec = pod(workload)
        volumes = {v["name"] for v in spec.get("volumes", ())}
        volumes |= {v["metadata"]["name"] for v in workload["spec"].get("volumeClaimTemplates", ())}
        for container in spec["containers"]:
            assert {m["name"] for m in container.get("volumeMounts", ())} <= volumes, name
            ports = {p["name"] for p in container.get("ports", ())}
            probes = [container[k] for k in ("startupProbe", "livenessProbe", "readinessProbe") if k in container]
            asked = {(p.get("httpGet") or p["tcpSocket"])["port"] for p in probes if "exec" not in p}
            assert asked <= ports, name
        assert workload["spec"]["selector"]["matchLabels"] == workload["spec"]["template"]["metadata"]["labels"], name
        if workload["kind"] == "StatefulSet":
            assert ("Service", workload["spec"]["serviceName"]) in made, name
    for service in (r for r in resources(overlay) if r["kind"] == "Service"):
        [aimed] = [
            w for w in workloads(overlay).values()
            if service["spec"]["selector"] == w["spec"]["template"]["metadata"]["labels"]
        ]  # fmt: skip
        ports = {p["name"] for p in pod(aimed)["containers"][0]["ports"]}
        assert {p["targetPort"] for p in service["spec"]["ports"]} <= ports


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_commands_are_those_of_the_command_line_and_ask_where_it_listens(overlay: str) -> None:
    settings, mistakes = read_settings((FOLDER / overlay / "nearcast.yaml").read_bytes())
    assert not mistakes
    listen, called = f"{settings.host}:{settings.port}", set()
    for workload in workloads(overlay).values():
        [container] = pod(workload)["containers"]
        if container["image"] != "nearcast":
            continue
        program, command, site, *words = container["command"]
        assert (program, site) == ("nearcast", "/srv/site") and command in COMMANDS
        called.add(command)
        assert set(words[::2]) <= options_of(command)
        if command in ROLES:
            host, _, port = dict(zip(words[::2], words[1::2], strict=True)).get("--listen", listen).rpartition(":")
            assert (host, container["ports"]) == ("0.0.0.0", [{"name": "http", "containerPort": int(port)}])
            probes = {name: container[name]["httpGet"]["path"] for name in ("livenessProbe", "readinessProbe")}
            assert probes == {"livenessProbe": "/healthz", "readinessProbe": "/readyz"}
            given = {variable["name"]: variable["name"] for variable in container["env"]}
            assert not resolve_env(settings, given)[1]
    assert called == {*ROLES, *(("crowd",) if overlay == "try" else ())}


def test_the_addresses_of_the_trial_are_those_of_its_own_servers() -> None:
    settings, _ = read_settings((FOLDER / "try/nearcast.yaml").read_bytes())
    services = {r["metadata"]["name"]: r["spec"] for r in resources("try") if r["kind"] == "Service"}
    hosts = {
        address.rpartition("//")[2].partition("/")[0] for address in (*settings.cluster.brokers, settings.cluster.redis)
    }
    assert hosts == {f"{name}:{services[name]['ports'][0]['port']}" for name in ("kafka", "redis")}
    assert (settings.cluster.replicas, workloads("try")["kafka"]["spec"]["replicas"]) == (1, 1)
