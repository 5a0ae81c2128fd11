"""The world: HTTP ingest, the SQLite store, channels, metrics, logs, the clock."""
