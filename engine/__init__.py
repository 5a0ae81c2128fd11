"""The fold: wire types, arrival, presence, beacon zones, timers, step, snapshot, delivery. No I/O, no clock."""
