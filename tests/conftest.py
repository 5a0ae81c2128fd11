"""For all tests: no test of a property depends on how long an example takes; the tests' own timeout ends what hangs.

Elsewhere each run tries other examples; where `CI` is set all runs try the same ones, so that the same tree gives the
same answer.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("untimed", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("untimed")
