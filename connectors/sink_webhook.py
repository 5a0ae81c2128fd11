"""The webhook channel: one signed POST for each attempt, as Standard Webhooks asks.

Owns the request, its signature, and what each kind of answer means. Must not know when attempts are made.
Promises: at least once; every attempt carries the delivery's key as `webhook-id`, so that repeats can be told.
Costs: one request on a connection that is kept open, about 0.1 ms of CPU.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from connectors.http_post import Poster, PostError
from engine.ports import Attempt, AttemptResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connectors.clock import Clock
    from engine.ports import Delivery

#: What `Retry-After` may ask for at most: a typing error at the other side must not stop us for a year.
RETRY_AFTER_MS_MAX = 3_600_000
#: An answer with one of these was given by something in between: whether the message arrived is not known.
_BY_A_GATEWAY = frozenset({502, 504})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WebhookChannel:
    """Posts to one URL. Raises `ValueError` for a secret or a URL that is none."""

    def __init__(self, url: str, *, secrets: Sequence[str], timeout_ms: int, concurrency: int, clock: Clock) -> None:
        self._signers = [_signer(secret) for secret in secrets]
        self._clock = clock
        self._poster = Poster(url, timeout_s=timeout_ms / 1000, keep=concurrency)

    async def attempt(self, delivery: Delivery, number: int) -> Attempt:
        """Post the delivery's body once."""
        written: list[float] = []  # when the request was written
        try:
            answer = await self._poster.post(
                self._sign(delivery.key, delivery.body),
                delivery.body,
                lambda: written.append(self._clock.exact_ms()),
            )
        except PostError as error:
            # What was never written surely did not arrive.
            result = AttemptResult.UNKNOWN if error.written else AttemptResult.RETRY
            return Attempt(result, str(error), None, _first(written))
        wait_ms = retry_after(answer.headers, self._clock.now_ms())
        return Attempt(judge(answer.status), f"answered {answer.status}", wait_ms, _first(written))

    async def close(self) -> None:
        """Close the connections."""
        self._poster.close()

    def _sign(self, key: str, body: bytes) -> dict[str, str]:
        now = _EPOCH + timedelta(milliseconds=self._clock.now_ms())
        headers = {"webhook-id": key, "webhook-timestamp": str(int(now.timestamp()))}
        if self._signers:
            text = body.decode()
            headers["webhook-signature"] = " ".join(signer.sign(key, now, text) for signer in self._signers)
        return headers


def judge(status: int) -> AttemptResult:
    """What an answer means.

    >>> [judge(s).value for s in (204, 301, 400, 408, 410, 429, 503, 504)]
    ['ok', 'fail', 'fail', 'retry', 'gone', 'retry', 'retry', 'unknown']
    """
    if 200 <= status < 300:
        return AttemptResult.OK
    if status == 410:
        return AttemptResult.GONE
    if status in _BY_A_GATEWAY:
        return AttemptResult.UNKNOWN
    return AttemptResult.RETRY if status in (408, 429) or status >= 500 else AttemptResult.FAIL


def retry_after(headers: Mapping[str, str], now_ms: int) -> int | None:
    """The wait that an answer asks for, in milliseconds, at most an hour; None when it asks for none we understand.
    Names of headers are in lower case.

    A date is taken against the answer's own `Date`, so that clocks which differ do no harm.

    >>> retry_after({"retry-after": "120"}, 0)
    120000
    >>> retry_after({"retry-after": "Thu, 01 Jan 1970 00:00:09 GMT"}, 4_000)
    5000
    >>> retry_after({"retry-after": "soon"}, 0)
    """
    asked = headers.get("retry-after")
    if asked is None:
        return None
    try:
        wait_ms = float(asked) * 1000
    except ValueError:
        until_ms, said_ms = _date_ms(asked), _date_ms(headers.get("date", ""))
        if until_ms is None:
            return None
        wait_ms = until_ms - (now_ms if said_ms is None else said_ms)
    return int(min(max(wait_ms, 0), RETRY_AFTER_MS_MAX)) if wait_ms == wait_ms else None


def _date_ms(text: str) -> int | None:
    """An HTTP date, in epoch milliseconds; None for what is none, or is of no year that there is."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int((moment - _EPOCH) / timedelta(milliseconds=1))


def _signer(secret: str) -> Webhook:
    try:
        return Webhook(secret)
    except (ValueError, EmptyWebhookSecretError) as error:
        raise ValueError("a webhook secret is base64 after `whsec_`, make one of 24 random bytes") from error


def _first(written: list[float]) -> float | None:
    return written[0] if written else None
