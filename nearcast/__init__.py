"""The application: command line, settings, wiring, demo, replay, explain, check."""
