"""`nearcast send`: the message of a rule to a test user, through the real channel.

Owns who may get one, and at which place it is told. Decides nothing: consent, limits and quiet hours are not asked,
which is why only a site's `test_users` can be sent to. Writes nothing into the store.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from typing import TYPE_CHECKING

from rich.console import Console

from connectors.clock import MachineClock
from engine.outward import delivery_body
from engine.ports import AttemptResult, Delivery, StoreError
from engine.site_draft import read_draft
from geo.mistake import MistakesError, did_you_mean
from nearcast.channels import make_channels
from nearcast.fault import ExitCode, InputFaultError
from nearcast.file_channels import misplaced
from nearcast.folder import read_folder
from nearcast.site_store import filled_settings, store_path
from rules.decide import messages_of
from rules.facts import Decision, Kind, Occasion, Outcome, Reason, User
from rules.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.settings import Settings
    from engine.site_draft import Draft
    from rules.model import Rule
    from rules.place import Place


def send_test(site: Path, *, rule: str, user: str) -> ExitCode:
    """Send one message for each action of the rule. Raises `InputFaultError` and `MistakesError`."""
    draft, mistakes = read_draft(read_folder(site))
    if draft is None:
        raise MistakesError(mistakes)
    chosen = draft.rules.rule(rule)
    if chosen is None:
        known = did_you_mean(rule, [other.id for other in draft.rules.rules])
        raise InputFaultError(f"there is no rule `{rule}`, {known}")
    if user not in draft.settings.test_users:
        mend = f"add `test_users: [{user}]` to nearcast.yaml if this person agreed to test messages"
        raise InputFaultError(f"`{user}` is no test user, {mend}")
    clock = MachineClock()
    person = _known_user(store_path(site, draft.settings), user, clock.now_ms())
    deliveries = _deliveries(draft, chosen, person, clock.now_ms())
    good = asyncio.run(_attempt_all(site, filled_settings(draft.settings), deliveries))
    return ExitCode.GOOD if good else ExitCode.INPUT


def _known_user(store: Path, user: str, now_ms: int) -> User:
    """The user as the store knows them: for their language and their fields. A stranger where it does not."""
    if not store.exists():
        return User(user)
    from connectors.store_sqlite import SqliteStore
    from nearcast.recover import recover

    try:
        with SqliteStore.open(store, readonly=True) as opened:
            return recover(opened, now_ms).engine.people.users.get(user) or User(user)
    except StoreError as error:
        Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(
            f"warning: what is known of `{user}` cannot be read ({error}), so fields of the user stay empty",
            style="yellow",
        )
        return User(user)


def _place_of(rule: Rule, draft: Draft) -> Place | None:
    """A place at which the rule may act: of the first of its triggers that names one."""
    refs = [ref for trigger in rule.triggers for ref in (trigger.place, trigger.inside) if ref is not None]
    for ref in refs:
        for place in draft.places.values():
            if ref.covers(place):
                return place
    return None


def _deliveries(draft: Draft, rule: Rule, user: User, now_ms: int) -> list[Delivery]:
    """The deliveries of a decision to send that nobody made. Each run has keys of its own, so that none is a repeat."""
    trigger = rule.triggers[0]
    occasion = Occasion(
        kind=trigger.kind,
        id=secrets.token_hex(16),
        time_ms=now_ms,
        user=user.id,
        place=_place_of(rule, draft),
        cause="test",
        dwell_ms=trigger.dwell_ms,
        event_type=trigger.event_type if trigger.kind is Kind.EVENT else None,
    )
    messages = messages_of(rule, View(occasion, user, now_ms, draft.rules, draft.places))
    key = secrets.token_hex(16)
    decision = Decision(
        key, rule.id, rule.version, user.id, occasion, Outcome.SEND, Reason.SENT, now_ms, messages=messages, test=True
    )
    deliveries = []
    for message in messages:
        each = secrets.token_hex(16)
        deliveries.append(
            Delivery(
                key=each,
                decision=key,
                rule=rule.id,
                user=user.id,
                channel=message.channel,
                body=delivery_body(each, decision, message),
                created_ms=now_ms,
                expires_ms=now_ms + message.ttl_ms,
                test=True,
            )
        )
    return deliveries


async def _attempt_all(site: Path, settings: Settings, deliveries: Sequence[Delivery]) -> bool:
    """Try each delivery once, and say what came of it. True if all were taken."""
    out = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    if mistakes := misplaced(settings, site):
        raise MistakesError(mistakes)
    channels = make_channels(settings, site, clock=MachineClock(), show=out.print, colour=sys.stdout.isatty())
    good = True
    try:
        for delivery in deliveries:
            channel = channels.by_name.get(delivery.channel) or channels.others
            assert channel is not None, "a rule's channels are checked"
            attempt = await channel.attempt(delivery, 1)
            taken = attempt.result is AttemptResult.OK
            good = good and taken
            word = "sent" if taken else {AttemptResult.UNKNOWN: "no answer"}.get(attempt.result, "not taken")
            detail = f" ({attempt.detail})" if attempt.detail else ""
            style = "green" if taken else "red"
            out.print(f"{delivery.channel} -> {delivery.user}: {word}{detail}, key {delivery.key}", style=style)
    finally:
        for each in (*channels.by_name.values(), channels.others):
            if each is not None:
                await each.close()
    return good
