"""`explain`, `send` and `backup` on a store that a real engine filled, beside a writer that still has it open."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from standardwebhooks.webhooks import Webhook

from connectors.store_sqlite import SqliteStore
from engine.ping import columns
from engine.ports import Commit, DecisionQuery
from engine.rows import Rows
from engine.site import read_site
from engine.step import Engine
from engine.wire import Edited, Happened, UserChanged, encode_frame
from nearcast.folder import read_folder
from tests.nearcast.command import FILES, make_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.wire import Input
    from tests.nearcast.command import Command

#: 2026-11-25 17:00 in Tokyo.
T0 = 1_795_593_600_000
DAY_MS = 86_400_000
SECRET = "whsec_" + base64.b64encode(b"a secret of ours, for tests").decode()


class Filling:
    """An engine whose every step goes into the site's store."""

    def __init__(self, site: Path, store: SqliteStore) -> None:
        empty, _ = read_site({})
        assert empty is not None
        self.store = store
        self.engine = Engine(empty, T0 - DAY_MS)
        self.seq = 0
        self.take_site(site, T0 - DAY_MS)

    def take_site(self, site: Path, now_ms: int) -> None:
        """Bring the folder's site into force."""
        made, mistakes = read_site(read_folder(site))
        assert made is not None, mistakes
        self.step(now_ms, Edited(made.version, dict(made.files)))

    def step(self, now_ms: int, *inputs: Input) -> None:
        """One step, committed."""
        effects = self.engine.step(inputs, now_ms)
        self.seq += 1
        edited = None if effects.edited is None else (effects.edited.version, effects.edited.files)
        self.store.commit(
            Commit(
                self.seq,
                now_ms,
                encode_frame(now_ms, inputs),
                effects.decisions,
                effects.deliveries,
                edited=edited,
            )
        )

    def enter_shop(self, user: str, time_ms: int) -> None:
        """A surely-in fix of the user's phone; and one far away an hour later, so that the next is an arrival again."""
        for at_ms, lat in ((time_ms, 35.69), (time_ms + 3_600_000, 36.0)):
            fix = Rows(
                devices=[f"{user}-phone"],
                times=[at_ms],
                lats=[lat],
                lngs=[139.7],
                users=[user],
                beacons=[None],
                accuracies=[5.0],
                speeds=[None],
                headings=[None],
                rssis=[None],
                mocked=[False],
            )
            self.step(at_ms, columns([fix]))


@pytest.fixture
def filling(site: Path) -> Iterator[Filling]:
    """A site with a store in which things have happened; its writer stays open."""
    with SqliteStore.open(site / "var/nearcast.db") as store:
        filling = Filling(site, store)
        filling.step(
            T0,
            UserChanged("u-7", attributes={"tier": "gold", "age": 30}, consent={"marketing": True}, locale="ja"),
            UserChanged("u-8", attributes={"tier": "bronze", "age": 30}, consent={"marketing": True}),
            UserChanged("u-9", attributes={"tier": "gold", "age": 30}),
        )
        for user in ("u-7", "u-8", "u-9"):
            filling.enter_shop(user, T0)
        filling.enter_shop("u-7", T0 + 5 * 3_600_000)
        yield filling


def test_why_somebody_got_a_message_and_why_not_the_next_time(nearcast: Command, site: Path, filling: Filling) -> None:
    came = nearcast("explain", site, "--user", "u-7")
    assert (came.code, came.err) == (0, "")
    first, second = came.out.strip().split("\n\n")
    assert "  hello  entered shop  sent\n" in first
    assert "  + audience.all[1]: {attribute: tier, in: [gold]}\n" in first
    assert "    seen: attribute.tier = gold" in first
    assert "    push: やあ · The Shop\n    pending" in first
    assert "  hello  entered shop  not sent: quiet_hours\n  it was in their quiet hours\n" in second
    assert "  + audience.all[0]: {consent: marketing}\n" in second
    assert "  x quiet_hours: {from: 21:00, to: 09:00, timezone: place}  <- this one\n" in second
    assert "    seen: time = " in second


def test_what_an_app_says_of_a_user_cannot_paint_or_fake_lines(nearcast: Command, site: Path, filling: Filling) -> None:
    filling.step(T0, UserChanged("u-8", attributes={"tier": "\x1b[31mred\n  + audience.all[0]: faked"}))
    filling.enter_shop("u-8", T0 + 5 * 3_600_000)
    out = nearcast("explain", site, "--user", "u-8").out
    assert "    seen: attribute.tier =  [31mred   + audience.all[0]: faked\n" in out


def test_of_an_audience_of_which_one_part_is_enough_no_part_is_said_to_have_held(
    nearcast: Command, site: Path, filling: Filling
) -> None:
    rule = site / "rules/hello.yaml"
    before = "audience: {all: [{consent: marketing}, {attribute: tier, in: [gold]}, {attribute: age, min: 20}]}"
    either = "[{attribute: tier, in: [iron]}, {attribute: tier, in: [gold]}]"
    assert before in rule.read_text()
    rule.write_text(rule.read_text().replace(before, f"audience: {{all: [{{consent: marketing}}], any: {either}}}"))
    filling.take_site(site, T0)
    filling.enter_shop("u-7", T0 + DAY_MS)
    newest = nearcast("explain", site, "--user", "u-7").out.strip().split("\n\n")[-1]
    assert f"  + audience.any: {either}\n" in newest


def test_the_clause_that_failed_is_marked_and_what_was_not_asked_too(
    nearcast: Command, site: Path, filling: Filling
) -> None:
    out = nearcast("explain", site, "--user", "u-8").out
    assert "not sent: audience\n  the person is not in the rule's audience\n" in out
    assert "  + max_event_age: 15m\n" in out
    assert "    audience.all[0]: {consent: marketing}\n" in out
    assert "  x audience.all[1].attribute: {attribute: tier, in: [gold]}  <- this one\n" in out
    assert "(not asked)\n" in out.partition("quiet_hours:")[2]
    assert "seen: attribute.tier = bronze" in out
    out = nearcast("explain", site, "--user", "u-9").out
    assert "not sent: consent\n  the person has not given the consent that the rule asks for\n" in out
    assert "seen: consent.marketing is not known" in out


def test_as_json_it_is_one_object_with_the_decisions_newest_first(
    nearcast: Command, site: Path, filling: Filling
) -> None:
    came = nearcast("explain", site, "--user", "u-7", "--json")
    found = json.loads(came.out)
    assert (found["user"], found["rule"], found["since"]) == ("u-7", None, None)
    assert [decision["reason"] for decision in found["decisions"]] == ["quiet_hours", "sent"]
    newest, oldest = found["decisions"]
    kept = filling.store.decisions(DecisionQuery(user="u-7"))
    assert {key: newest[key] for key in kept[0]} == kept[0]
    assert [clause["mark"] for clause in newest["clauses"]][-2:] == ["not asked", "failed"] or newest["clauses"]
    assert next(c for c in newest["clauses"] if c["path"] == "quiet_hours")["mark"] == "failed"
    assert oldest["deliveries"][0]["outcome"] == "pending"
    assert oldest["deliveries"][0]["title"] == "やあ"


def test_a_rule_that_was_changed_since_is_shown_as_it_was_then(nearcast: Command, site: Path, filling: Filling) -> None:
    make_site(site, rules__hello=FILES["rules/hello.yaml"].replace("in: [gold]", "in: [gold, silver]"))
    assert "attribute: tier, in: [gold]}" in nearcast("explain", site, "--user", "u-8").out
    filling.take_site(site, T0 + DAY_MS)
    filling.enter_shop("u-8", T0 + DAY_MS)
    out = nearcast("explain", site, "--user", "u-8").out
    first, second = out.strip().split("\n\n")
    assert "attribute: tier, in: [gold]}" in first
    assert "attribute: tier, in: [gold, silver]}" in second


def test_a_question_can_be_narrowed_down(nearcast: Command, site: Path, filling: Filling) -> None:
    came = nearcast("explain", site, "--user", "u-7", "--since", "2026-11-25T19:00+09:00", "--json")
    assert [decision["reason"] for decision in json.loads(came.out)["decisions"]] == ["quiet_hours"]
    came = nearcast("explain", site, "--user", "u-7", "--since", "yesterday")
    assert came.code == 2
    assert came.err == "`--since` needs `2h`, `7d` or `2026-11-25T17:00+09:00`, got `yesterday`\n"


def test_nothing_kept_is_told_with_what_it_may_come_from(nearcast: Command, site: Path, filling: Filling) -> None:
    came = nearcast("explain", site, "--user", "u-77")
    assert (came.code, came.out) == (0, "")
    assert came.err.startswith("no decision about `u-77` is kept\n- no rule had an occasion")
    assert "the device's id" in came.err
    assert "(90d, the setting `keep.decisions`)" in came.err
    came = nearcast("explain", site, "--user", "u-7", "--rule", "hallo")
    assert "- there is no rule `hallo`, did you mean `hello`?" in came.err
    assert "- there are others: the newest is of `hello` at 2026-11-25T13:00:00.000Z" in came.err


def test_explain_needs_a_store_and_good_settings(nearcast: Command, site: Path) -> None:
    came = nearcast("explain", site, "--user", "u")
    assert came.code == 1
    assert came.err == f"store `{site}/var/nearcast.db` is not there, start `nearcast run` on the site first\n"
    make_site(site, nearcast="store: 7.5\n")
    came = nearcast("explain", site, "--user", "u")
    assert came.code == 1
    assert came.err.startswith("nearcast.yaml:1:8: `store` needs a text")


def test_explain_works_while_the_rules_are_being_written(nearcast: Command, site: Path, filling: Filling) -> None:
    make_site(site, rules__hello="id: [")
    came = nearcast("explain", site, "--user", "u-8")
    assert came.code == 0
    assert "  x audience.all[1].attribute: {attribute: tier, in: [gold]}  <- this one\n" in came.out


def test_a_backup_is_a_whole_store_taken_while_it_is_written(
    nearcast: Command, site: Path, filling: Filling, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    came = nearcast("backup", site, copy)
    assert (came.code, came.out) == (0, "")
    assert came.err == f"wrote {copy}: {copy.stat().st_size:,} bytes, up to frame {filling.seq}\n"
    with SqliteStore.open(copy, readonly=True) as store:
        assert store.last_seq() == filling.seq
        assert len(store.decisions(DecisionQuery(user="u-7"))) == 2
    came = nearcast("backup", site, copy)
    assert came.code == 1
    assert came.err == f"backup `{copy}` is there already, choose another name or move it away\n"


def test_a_test_message_goes_through_the_real_channel_in_the_users_language(
    nearcast: Command, site: Path, filling: Filling
) -> None:
    filling.step(T0 + DAY_MS, UserChanged("me", locale="ja"), Happened("me", "e-1", "x", T0, {}))
    came = nearcast("send", site, "--rule", "hello", "--user", "me")
    assert came.code == 0, came
    assert came.out.startswith("push -> me: sent, key ")
    line = json.loads((site / "var/sent.jsonl").read_text())
    assert line["data"]["rule"] == "hello"
    assert (line["data"]["title"], line["data"]["body"]) == ("やあ", "The Shop")
    assert line["data"]["place"] == {"id": "shop", "name": "The Shop"}
    assert line["data"]["occasion"]["kind"] == "entered"
    assert line["id"] in came.out


@contextmanager
def endpoint(status: int) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A webhook's other end: its address, and what it was sent."""
    got: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((dict(self.headers.items()), body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/push", got
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "code", "said"), [(204, 0, "sent (answered 204), key "), (400, 1, "not taken (answered 400), key ")]
)
def test_a_webhook_gets_the_test_message_signed_and_a_refusal_is_told(
    nearcast: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, code: int, said: str
) -> None:
    monkeypatch.setenv("PUSH_SECRET", SECRET)
    with endpoint(status) as (url, got):
        push = f"{{kind: webhook, url: '{url}', secret: '${{PUSH_SECRET}}'}}"
        site = make_site(tmp_path, nearcast=f"test_users: [me]\nchannels: {{push: {push}}}\n")
        came = nearcast("send", site, "--rule", "hello", "--user", "me")
    assert came.code == code
    assert came.out.startswith(f"push -> me: {said}")
    assert len(got) == 1
    headers, body = got[0]
    message = Webhook(SECRET).verify(body, {name.lower(): value for name, value in headers.items()})
    assert message["data"]["title"] == "Hello"


def test_only_a_test_user_can_be_sent_to_and_only_by_a_rule_there_is(nearcast: Command, site: Path) -> None:
    came = nearcast("send", site, "--rule", "hello", "--user", "u-7")
    assert (came.code, came.out) == (1, "")
    mend = "add `test_users: [u-7]` to nearcast.yaml if this person agreed to test messages"
    assert came.err == f"`u-7` is no test user, {mend}\n"
    came = nearcast("send", site, "--rule", "helo", "--user", "me")
    assert (came.code, came.err) == (1, "there is no rule `helo`, did you mean `hello`?\n")
    assert not (site / "var/sent.jsonl").exists()


def test_sending_needs_the_channels_secrets(nearcast: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SECRET", raising=False)
    settings = (
        "test_users: [me]\nchannels: {push: {kind: webhook, url: 'http://127.0.0.1:9/', secret: '${NO_SECRET}'}}\n"
    )
    came = nearcast("send", make_site(tmp_path, nearcast=settings), "--rule", "hello", "--user", "me")
    assert came.code == 1
    assert came.err.startswith(
        "nearcast.yaml:2:70: `channels.push.secret` names the variable `NO_SECRET`, which is not set"
    )
