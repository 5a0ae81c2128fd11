"""Events, and what is written about users: from a body to the inputs of the journal.

Owns what a good event and a good change of a user are. Must not know how bodies come in, nor what is known of users.
Instants are epoch milliseconds, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from engine.body import body_elements, parse
from engine.rejection import (
    BodyError,
    RefusedError,
    Rejected,
    RejectReason,
    as_object,
    check_age,
    check_free,
    check_id,
    check_time,
    echoed,
    refuse,
    required,
)
from engine.wire import Happened, UserChanged
from geo.mistake import did_you_mean
from rules.facts import Kind
from rules.zones import zone

if TYPE_CHECKING:
    from engine.settings import PingLimits

#: The event that merges its data into the user, for apps that hold an ingest key only.
USER_UPDATED: Final = "user.updated"
EVENT_NEEDS: Final = "an event needs `id`, `user`, `type` and `time`"
_NEEDED: Final = ("id", "user", "type", "time")
#: Occasions that are no events: a rule that names one of these means the occasion.
_OTHER_KINDS: Final = frozenset(kind.value for kind in Kind if kind is not Kind.EVENT)
_LOCALE_MAX: Final = 64
_USER_FIELDS: Final = ("attributes", "consent", "locale", "timezone", "tokens")


@dataclass(slots=True)
class DecodedEvents:
    """What a body held: inputs in the order of the body, refused elements, the number of all."""

    inputs: list[Happened | UserChanged]
    rejected: list[Rejected]
    count: int


def decode_events(body: bytes, *, ndjson: bool, now_ms: int, limits: PingLimits, keep_ms: int) -> DecodedEvents:
    """The events of a body: one object, an array, or one object a line.

    `now_ms` is when the body was received. Events older than `keep_ms` would be forgotten at once, and are refused; so
    are those further ahead than `limits` allow. Raises `BodyError` as `decode_pings` does.

    >>> from engine.settings import PingLimits
    >>> body = b'{"id": "e-1", "user": "u-7", "type": "purchase", "time": 99, "data": {"sku": "a"}}'
    >>> decode_events(body, ndjson=False, now_ms=100, limits=PingLimits(), keep_ms=1000).inputs
    [Happened(user='u-7', id='e-1', type='purchase', time_ms=99, data={'sku': 'a'})]
    """
    elements = body_elements(body, ndjson=ndjson, what="event", max_batch=limits.max_batch)
    decoded = DecodedEvents([], [], len(elements))
    for index, element in enumerate(elements):
        try:
            decoded.inputs.append(_event(element, now_ms, limits, keep_ms))
        except RefusedError as error:
            decoded.rejected.append(Rejected(index, error.reason, error.detail, echoed(element)))
    return decoded


def decode_user(user: str, body: bytes) -> UserChanged:
    """The body of `PUT /v1/users/{id}`. Raises `BodyError` 400.

    >>> change = decode_user("u-7", b'{"consent": {"location_marketing": true}, "locale": null}')
    >>> change.user, change.consent, change.locale, change.timezone
    ('u-7', {'location_marketing': True}, None, UNSET)
    """
    one = "send one object with what is to change"
    value = parse(body, empty=one, more=one)
    try:
        return user_change(user, as_object(value, "what is to change"))
    except RefusedError as error:
        raise BodyError(400, error.detail) from error


def user_change(user: str, fields: dict[str, Any]) -> UserChanged:
    """A merge into a user from the fields that somebody wrote. Raises `RefusedError`."""
    for name in fields:
        if name not in _USER_FIELDS:
            mend = f"what is the app's own goes under `attributes`, {did_you_mean(name, _USER_FIELDS)}"
            raise RefusedError(RejectReason.WRONG_TYPE, f"`{name[:40]}` is no field of a user, {mend}")
    changes: dict[str, Any] = {}
    for name in ("attributes", "tokens"):
        if name in fields:
            changes[name] = _free_object(name, fields[name])
    if "consent" in fields:
        changes["consent"] = _consent(fields["consent"])
    if "locale" in fields:
        changes["locale"] = _locale(fields["locale"])
    if "timezone" in fields:
        changes["timezone"] = _timezone(fields["timezone"])
    return UserChanged(user, **changes)


def _event(element: object, now_ms: int, limits: PingLimits, keep_ms: int) -> Happened | UserChanged:
    event = as_object(element, "`id`, `user`, `type` and `time`")
    required(event, _NEEDED, EVENT_NEEDS)
    name, user, kind = (check_id(field, event[field]) for field in ("id", "user", "type"))
    if kind in _OTHER_KINDS:
        raise refuse(RejectReason.OUT_OF_RANGE, "type", "is the name of another occasion", kind, "call it otherwise")
    time_ms = check_time("time", event["time"])
    check_age(time_ms, now_ms, max_age_ms=keep_ms, max_ahead_ms=limits.max_ahead_ms)
    data = {} if event.get("data") is None else _free_object("data", event["data"])
    if kind == USER_UPDATED:
        return msgspec.structs.replace(user_change(user, data), id=name, time_ms=time_ms)
    return Happened(user, name, kind, time_ms, data)


def _free_object(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refuse(RejectReason.WRONG_TYPE, name, "must be an object", value)
    check_free(name, value)
    return value


def _consent(value: object) -> dict[str, bool | None]:
    consent = _free_object("consent", value)
    for purpose, given in consent.items():
        if given is not None and not isinstance(given, bool):
            raise refuse(RejectReason.WRONG_TYPE, f"consent.{purpose[:40]}", "must be true, false or null", given)
    return consent


def _locale(value: object) -> str | None:
    if value is None:
        return None
    locale = check_id("locale", value)
    if len(locale) > _LOCALE_MAX:
        raise refuse(RejectReason.OUT_OF_RANGE, "locale", f"must have at most {_LOCALE_MAX} characters", value)
    return locale


def _timezone(value: object) -> str | None:
    if value is None:
        return None
    name = check_id("timezone", value)
    if zone(name) is None:
        raise refuse(RejectReason.OUT_OF_RANGE, "timezone", "must be an IANA name", value, "such as `Asia/Tokyo`")
    return name
