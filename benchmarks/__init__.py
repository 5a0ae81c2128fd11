"""Benchmarks: ours beside a peer or a bare limit, on the same seeded data, in one run, answers compared."""
