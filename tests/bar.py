"""A progress bar for tests, which counts and shows nothing."""

from __future__ import annotations


class Bar:
    """As `nearcast.replay_report.progress_bar` gives one."""

    done = 0

    def advance(self, count: int) -> None:
        """So much more is done."""
        self.done += count
