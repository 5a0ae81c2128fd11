"""For all tests: no test of a property depends on how long an example takes; the tests' own timeout ends what hangs."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
