"""`nearcast check`: every mistake on a line of its own, the rules' own tests, and warnings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from nearcast.folder import FolderError, read_folder
from tests.nearcast.command import FILES, make_site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.nearcast.command import Command


def test_a_good_site_is_told_so_in_one_line(nearcast: Command, site: Path) -> None:
    came = nearcast("check", site)
    assert came.code == 0
    assert came.out == "good: 1 fence, 0 beacon zones, 1 rule (1 live), 1 template, 2 tests passed\n"
    assert came.err == ""


def test_each_mistake_is_a_line_with_its_place_and_its_mend(nearcast: Command, tmp_path: Path) -> None:
    rule = FILES["rules/hello.yaml"].replace("trigger:", "triger:").replace("min: 20", "min: young")
    site = make_site(tmp_path, nearcast="keep: {pings: 7}\ntimezon: UTC\n", rules__hello=rule)
    came = nearcast("check", site)
    assert came.code == 1
    lines = came.out.splitlines()
    assert lines[0] == "nearcast.yaml:1:15: `keep.pings` needs a duration such as `7d`, got `7`, add a unit"
    assert lines[1] == "nearcast.yaml:2:1: `timezon` is not a known key, did you mean `timezone`?"
    assert lines[2] == "rules/hello.yaml:3:1: `triger` is not a known key, did you mean `trigger`?"
    assert lines[3].startswith("rules/hello.yaml:4:93: `audience.all[2].min` needs a number, got `young`")
    assert len(lines) == 4
    assert came.err == "4 mistakes, the rules' own tests run when these are mended\n"


def test_a_file_channel_may_not_write_over_the_store_nor_into_what_is_read(nearcast: Command, tmp_path: Path) -> None:
    """One that named the store destroyed it with its first message."""
    paths = [
        "var/nearcast.db",
        "./var/../var/nearcast.db-wal",
        "rules/sent.yaml",
        "nearcast.yaml",
        "var",
        "link",
        "a.jsonl",
    ]
    lines = [f"  c{n}: {{kind: file, path: {path}}}" for n, path in enumerate([*paths, "a.jsonl", "b.jsonl"])]
    rule = FILES["rules/hello.yaml"].replace("push:", "c6:")
    site = make_site(tmp_path, nearcast="\n".join(["channels:", *lines]), rules__hello=rule)
    (site / "var").mkdir(exist_ok=True)
    (site / "link").symlink_to("fences/f.geojson")
    came = nearcast("check", site)
    assert came.code == 1
    assert [line for line in came.out.splitlines() if line.startswith("nearcast.yaml")] == [
        f"nearcast.yaml:{n + 2}:26: `channels.c{n}.path` {what}, choose another such as `var/sent.jsonl`"
        for n, what in (
            (0, "is the store's, which would be destroyed, got `var/nearcast.db`"),
            (1, "is the store's, which would be destroyed, got `./var/../var/nearcast.db-wal`"),
            (2, "is in `rules/`, from which the site is read, got `rules/sent.yaml`"),
            (3, "holds the settings, got `nearcast.yaml`"),
            (4, "is a folder, got `var`"),
            (5, "is in `fences/`, from which the site is read, got `link`"),
        )
    ]


def test_a_secret_that_no_webhook_can_be_signed_with_is_a_mistake(nearcast: Command, tmp_path: Path) -> None:
    channels = "channels: {push: {kind: webhook, url: 'https://h/', secrets: [whsec_c2VjcmV0, 'not base64!', '']}}\n"
    came = nearcast("check", make_site(tmp_path, nearcast=channels))
    assert came.code == 1
    first, second = came.out.splitlines()
    mend = "write `whsec_` and what `openssl rand -base64 32` prints"
    assert first == f"nearcast.yaml:1:79: `channels.push.secrets[1]` needs a secret in base64, {mend}"
    assert second.startswith("nearcast.yaml:1:94: `channels.push.secrets[2]` needs a text that is not empty")
    assert "not base64!" not in came.out


@pytest.mark.parametrize("zone", ["localtime", "posixrules", "posix/Asia/Tokyo", "right/UTC", "Factory"])
def test_a_zone_that_is_another_on_each_machine_is_a_mistake(zone: str, nearcast: Command, tmp_path: Path) -> None:
    came = nearcast("check", make_site(tmp_path, nearcast=f"timezone: {zone}\n"))
    assert came.code == 1
    assert came.out.startswith("nearcast.yaml:1:11: `timezone` needs an IANA time zone such as `Asia/Tokyo`, got ")


def test_a_failing_test_of_a_rule_fails_the_check_at_its_line(nearcast: Command, tmp_path: Path) -> None:
    rule = FILES["rules/hello.yaml"].replace("then: sent", "then: cooldown")
    came = nearcast("check", make_site(tmp_path, rules__hello=rule))
    assert came.code == 1
    assert came.out.startswith("rules/hello.yaml:8:5: the test of `hello` wants `cooldown`, got `sent`")
    assert came.err == "1 of 2 tests failed\n"


def test_as_json_it_is_one_object_and_nothing_else(nearcast: Command, tmp_path: Path) -> None:
    came = nearcast("check", make_site(tmp_path / "good"), "--format", "json")
    assert (came.code, came.err) == (0, "")
    found = json.loads(came.out)
    assert found["mistakes"] == []
    assert found["tests"] == {"ran": True, "passed": 2, "failed": 0, "failures": []}
    assert found["site"]["rules"] == {"live": 1}
    bad = make_site(tmp_path / "bad", nearcast="keep: {pings: 7}\n")
    came = nearcast("check", bad, "--format", "json")
    found = json.loads(came.out)
    assert came.code == 1
    assert found["good"] is False
    assert found["tests"]["ran"] is False
    assert found["mistakes"] == [
        {
            "file": "nearcast.yaml",
            "line": 1,
            "column": 15,
            "what": "`keep.pings` needs a duration such as `7d`",
            "got": "7",
            "mend": "add a unit",
            "message": "nearcast.yaml:1:15: `keep.pings` needs a duration such as `7d`, got `7`, add a unit",
        }
    ]


def test_what_is_perhaps_not_meant_is_a_warning_and_no_mistake(
    nearcast: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    settings = "keys: {admin: ['${NO_SUCH_KEY}']}\nchannels: {push: {kind: webhook, url: 'http://127.0.0.1:9/'}}\n"
    rules = FILES["rules/hello.yaml"].replace("state: live", "state: draft") + (
        "---\nid: two\nstate: test\ntrigger: {event: entered}\naudience: {all: [{consent: marketing}]}\n"
        "actions: [{push: {title: Hi, body: There}}]\n"
    )
    site = make_site(tmp_path, nearcast=settings, rules__hello=rules)
    (site / "templates/unused.yaml").write_text("en: {title: a, body: b}\n")
    (site / "rules/old.yml").write_text("x")
    (site / "rules/sub").mkdir()
    (site / "fence").mkdir()
    (site / "settings.yaml").write_text("")
    (site / "README.md").write_text("not ours")
    (site / ".git").mkdir()
    (site / "var").mkdir()
    came = nearcast("check", site)
    assert came.code == 0, came
    assert sorted(came.err.splitlines()) == sorted(
        [
            "warning: fence/ is no folder of a site and is not read, known are "
            "`fences/`, `beacons/`, `rules/`, `templates/`",
            "warning: rules/old.yml is not read, let its name end in `.yaml`",
            "warning: rules/sub/ is not read, move its files up into rules/",
            "warning: settings.yaml is not read, the settings are in `nearcast.yaml`, all else in "
            "`fences/`, `beacons/`, `rules/`, `templates/`",
            "warning: nearcast.yaml:1:16: `keys.admin[0]` names the variable `NO_SUCH_KEY`, which is not set, "
            "export NO_SUCH_KEY=... before the start",
            "warning: nearcast.yaml: channel `push` has no `secret`, so what it posts is not signed",
            "warning: rules/hello.yaml:1: rule `hello` is in draft: it is checked, and decides nothing until "
            "`state: live`",
            "warning: rules/hello.yaml:12: rule `two` is in test, and no `test_users` are set: "
            "nobody gets its messages",
            "warning: templates/unused.yaml: no rule uses this template",
        ]
    )


def test_what_judges_a_fix_is_for_nothing_where_no_trigger_has_one(nearcast: Command, tmp_path: Path) -> None:
    rules = "---\n".join(
        f"id: {name}\nstate: paused\n{keys}trigger: {trigger}\naudience: {{all: [{{consent: marketing}}]}}\n"
        "actions: [{push: {title: Hi, body: There}}]\n"
        for name, keys, trigger in (
            ("bought", "max_accuracy: 50m\nmocked: allow\n", "{any: [{event: purchase}, {event: timer, at: 12:00}]}"),
            ("plain", "", "{event: purchase}"),
            (
                "inside",
                "max_accuracy: 50m\n",
                "{any: [{event: purchase}, {event: timer, at: 12:00, inside: {id: shop}}]}",
            ),
        )
    )
    came = nearcast("check", make_site(tmp_path, rules__hello=f"{FILES['rules/hello.yaml']}---\n{rules}"))
    assert came.code == 0, came
    why = "for nothing: no fix belongs to an event, or to a timer without `inside`"
    assert [line for line in came.err.splitlines() if "for nothing" in line] == [
        f"warning: rules/hello.yaml:12: rule `bought` has `{key}` {why}" for key in ("max_accuracy", "mocked")
    ]


def test_check_warns_of_a_place_where_there_is_none(nearcast: Command, tmp_path: Path) -> None:
    rule = """id: {id}
trigger: {trigger}
audience: {{all: [{{consent: ads}}, {{not: {{any: [{{visits: {{place: same}}}}]}}}}]}}
actions: [{{push: {{title: "{{user.id}}", body: "at {{place.name}}", collapse_key: "{{place.id}}"}}}}]
"""
    told = rule.format(id="bought", trigger="{any: [{event: purchase}, {event: timer, at: 12:00}]}")
    told += "---\n" + rule.format(id="came", trigger="{any: [{event: purchase}, {event: entered}]}")
    came = nearcast("check", make_site(tmp_path, rules__hello=told))
    assert came.code == 0, came
    why = "its triggers, events or timers without `inside`, have no place"
    assert [line for line in came.err.splitlines() if "no place" in line] == [
        f"warning: rules/hello.yaml:1: rule `bought` {what}: {why}"
        for what in (
            "reaches nobody by `place: same`",
            "uses `{place.id}`, which is always empty",
            "uses `{place.name}`, which is always empty",
        )
    ]


def test_check_warns_of_a_rule_that_is_always_quiet(nearcast: Command, tmp_path: Path) -> None:
    rule = FILES["rules/hello.yaml"].replace('{from: "21:00", to: "09:00"', '{from: "00:00", to: "24:00"')
    assert rule != FILES["rules/hello.yaml"]
    came = nearcast("check", make_site(tmp_path, rules__hello=rule))
    assert "rule `hello` is quiet all day: nobody is ever messaged" in came.err


def test_check_warns_of_a_beacon_zone_that_is_to_be_crossed(nearcast: Command, tmp_path: Path) -> None:
    site = make_site(tmp_path, rules__hello=FILES["rules/hello.yaml"].replace("event: entered", "event: crossed"))
    assert "crossed" not in nearcast("check", site).err
    (site / "beacons").mkdir(exist_ok=True)
    (site / "beacons/z.yaml").write_text("- {id: hall, beacons: ['gateway:a'], timezone: UTC}\n")
    rule = site / "rules/hello.yaml"
    rule.write_text(rule.read_text().replace("id: shop", "id: hall", 1))
    assert "rule `hello` waits in vain for `crossed`: its places are beacon zones" in nearcast("check", site).err


def test_check_warns_of_a_consent_in_a_not(nearcast: Command, tmp_path: Path) -> None:
    rule = """id: stop
trigger: {event: entered}
audience: {all: [{consent: ads}, {not: {any: [{consent: optout}, {not: {consent: mail}}]}}]}
actions: [{push: {title: Hi, body: There}}]
"""
    came = nearcast("check", make_site(tmp_path, rules__hello=rule))
    assert came.code == 0, came
    why = "it is asked as if it were given, keep who opted out as an attribute"
    assert [line for line in came.err.splitlines() if "consent" in line] == [
        f"warning: rules/hello.yaml:1: rule `stop` reaches nobody by the consent `optout` in a `not`: {why}"
    ]


def test_an_empty_folder_is_a_site_that_sends_nothing(nearcast: Command, tmp_path: Path) -> None:
    came = nearcast("check", tmp_path)
    assert came.code == 0
    assert came.out == "good: 0 fences, 0 beacon zones, 0 rules, 0 templates, 0 tests passed\n"
    assert came.err == "warning: the site has no rules, so nothing will ever be sent\n"


def test_no_folder_and_a_file_are_no_site(nearcast: Command, tmp_path: Path, site: Path) -> None:
    came = nearcast("check", tmp_path / "nope")
    assert (came.code, came.out) == (1, "")
    assert (
        came.err == f"there is no site at `{tmp_path}/nope`, name the folder that holds `nearcast.yaml` and `rules/`\n"
    )
    came = nearcast("check", site / "nearcast.yaml")
    assert came.code == 1
    assert came.err.startswith("a site is a folder, got the file")


def test_a_site_is_its_files_by_their_paths_within_it(site: Path) -> None:
    (site / "var").mkdir()
    (site / "var/nearcast.db").write_bytes(b"x")
    assert {path: data.decode() for path, data in read_folder(site).items()} == FILES


def test_a_file_that_is_too_large_is_refused_before_it_fills_the_memory(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearcast.folder.YAML_BYTES_MAX", 100)
    monkeypatch.setattr("nearcast.folder.SITE_BYTES_MAX", 500)
    with pytest.raises(FolderError, match=r"rules/hello\.yaml is larger than 0 MiB, split it into several files"):
        read_folder(site)
    monkeypatch.setattr("nearcast.folder.YAML_BYTES_MAX", 10_000)
    with pytest.raises(FolderError, match=r"is larger than 0 MiB, take out what is not used"):
        read_folder(site)
