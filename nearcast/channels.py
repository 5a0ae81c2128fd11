"""The channels of a site: from settings to what hands messages over.

Owns which kind of channel is made of which settings. Must not know deliveries' life.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from connectors import sink_console, sink_file
from connectors.sink_console import ConsoleChannel
from connectors.sink_file import FileChannel
from connectors.sink_webhook import WebhookChannel
from engine.settings import ConsoleSettings, FileSettings, WebhookSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from connectors.clock import Clock
    from engine.ports import Channel
    from engine.settings import ChannelSettings, Settings


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels of one version of the settings. `others` takes every name when none is configured: it prints."""

    by_name: dict[str, Channel]
    concurrency: dict[str, int]
    others: Channel | None


def make_channels(
    settings: Settings, folder: Path, *, clock: Clock, show: Callable[[str], None], colour: bool
) -> Channels:
    """Make the channels that the settings name; their environment variables are filled in already."""

    zone = ZoneInfo(settings.timezone)

    def make(channel: ChannelSettings) -> Channel:
        match channel:
            case WebhookSettings():
                return WebhookChannel(
                    channel.url,
                    secrets=channel.secrets,
                    timeout_ms=channel.timeout_ms,
                    concurrency=channel.concurrency,
                    clock=clock,
                )
            case FileSettings():
                return FileChannel(folder / channel.path, clock=clock)
            case ConsoleSettings():
                return ConsoleChannel(show, clock=clock, colour=colour, zone=zone)

    configured = settings.channels
    return Channels(
        by_name={name: make(channel) for name, channel in configured.items()},
        concurrency={name: _concurrency(channel) for name, channel in configured.items()},
        others=None if configured else ConsoleChannel(show, clock=clock, colour=colour, zone=zone),
    )


def _concurrency(channel: ChannelSettings) -> int:
    match channel:
        case WebhookSettings():
            return channel.concurrency
        case FileSettings():
            return sink_file.CONCURRENCY
        case ConsoleSettings():
            return sink_console.CONCURRENCY
