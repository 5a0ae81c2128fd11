"""What a world meets was made ready by `warm`: nobody's ping waits for a compiler."""

from __future__ import annotations

import subprocess
import sys


def test_a_world_meets_no_kernel_that_was_not_made_ready() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.sim.unready"], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-2000:]
