"""The simulation: the real engine under a seeded world, and laws that know nothing of the engine."""
