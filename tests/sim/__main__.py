"""Run one world again: `python -m tests.sim SEED PINGS`."""

from __future__ import annotations

import sys

from tests.sim.run import run

if __name__ == "__main__":
    sys.stdout.write(f"{run(int(sys.argv[1]), int(sys.argv[2])).summary()}\n")
