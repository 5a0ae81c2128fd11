"""A site's store seen from outside of the running process: where it is, and looking into it.

Owns finding it by the site's settings. Reads only; the process that runs the site goes on beside it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from connectors.store_sqlite import SqliteStore
from engine.settings import SETTINGS_FILE, TlsFiles
from engine.settings_file import read_settings, resolve_env
from geo.mistake import MistakesError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.settings import ClusterSettings, Settings


def settings_of(files: Mapping[str, bytes]) -> Settings:
    """The settings of a site's files, variables of the environment left as they are. Raises `MistakesError`."""
    settings, mistakes = read_settings(files.get(SETTINGS_FILE, b""))
    if mistakes:
        raise MistakesError(mistakes)
    return settings


def filled_settings(settings: Settings) -> Settings:
    """The settings with the environment's variables filled in. Raises `MistakesError` where one is missing."""
    filled, mistakes = resolve_env(settings, os.environ)
    if mistakes:
        raise MistakesError(mistakes)
    return filled


def store_path(site: Path, settings: Settings) -> Path:
    """The store's file. Of the variables, only those in its own path must be set."""
    return site / _filled_in(settings, "store").store


def redis_settings(site: Path, settings: Settings) -> ClusterSettings:
    """The block `cluster`, for whoever asks Redis alone. Of the variables, only those of Redis must be set."""
    return seen_from(site, _filled_in(settings, "cluster.redis").cluster)


def seen_from(site: Path, cluster: ClusterSettings) -> ClusterSettings:
    """The block `cluster` with the paths of its files seen from here."""

    def found(files: TlsFiles) -> TlsFiles:
        return TlsFiles(
            *(None if file is None else str(site / file) for file in (files.ca, files.certificate, files.key))
        )

    return replace(
        cluster, kafka=replace(cluster.kafka, tls=found(cluster.kafka.tls)), redis_tls=found(cluster.redis_tls)
    )


def open_for_reading(site: Path, settings: Settings) -> SqliteStore:
    """The store, to be looked into while the site runs. Raises `StoreError` when there is none yet."""
    return SqliteStore.open(store_path(site, settings), readonly=True)


def _filled_in(settings: Settings, part: str) -> Settings:
    filled, mistakes = resolve_env(settings, os.environ)
    ours = [mistake for mistake in mistakes if mistake.what.startswith(f"`{part}")]
    if ours:
        raise MistakesError(ours)
    return filled
