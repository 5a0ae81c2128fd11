"""What the tests of the application share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.nearcast.command import Command, make_site

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def nearcast(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line."""
    return Command(capsys, monkeypatch)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The folder of a small good site."""
    return make_site(tmp_path / "mysite")
