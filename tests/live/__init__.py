"""The real process, driven from outside: over HTTP, with signals, and with a webhook sink of our own."""
