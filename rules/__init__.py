"""The rule language: reading, checking, windows, audience, limits, texts, the decision. No clock of its own."""
