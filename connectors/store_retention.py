"""What is kept for how long: frames, checkpoints, decisions, ended deliveries, versions of the site.

Owns the rule: frames go up to a checkpoint that is kept, so that the rest can still be folded. Must not know what is in
them. Works in small pieces, so that no commit waits long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors import store_checkpoint

if TYPE_CHECKING:
    from connectors.store_access import Writer
    from engine.settings import Keep

DAY_MS = 86_400_000
#: Of one piece: rows, and bytes of frames (deleted bytes are written over, so they cost as much as new ones).
_ROWS = 200
_BYTES = 512 * 1024
#: Pieces in one call.
_PIECES = 50


def retain(writer: Writer, now_ms: int, keep: Keep) -> bool:
    """Drop what is older than it is kept. True when there is more to drop: call again."""
    base = _thin_checkpoints(writer, now_ms, keep.pings_ms)
    more = _drop_frames(writer, base) if base is not None else False
    before_ms = now_ms - keep.decisions_ms
    more |= _drop_rows(writer, "decisions", "time_ms < ?", before_ms)
    more |= _drop_rows(writer, "deliveries", "state <> 'pending' AND coalesce(ended_ms, created_ms) < ?", before_ms)
    return more


def spacing_ms(pings_ms: int) -> int:
    """How far apart old checkpoints are kept: a day, less where pings are kept for a few days only."""
    return min(DAY_MS, max(1, pings_ms // 8))


def _thin_checkpoints(writer: Writer, now_ms: int, pings_ms: int) -> int | None:
    """Keep the base (the newest that is as old as the oldest ping), then one for each day, and the newest two.

    Gives the base's frame. The newest two, since a damaged newest must not cost the state.
    """
    with writer.statement() as connection:
        points = connection.execute("SELECT seq, now_ms FROM checkpoints ORDER BY seq").fetchall()
    base: int | None = None
    for seq, at_ms in points:
        if at_ms <= now_ms - pings_ms:
            base = seq
    newest = {seq for seq, _ in points[-2:]}
    last_ms: int | None = None
    for seq, at_ms in points:
        if base is not None and seq < base:
            store_checkpoint.drop(writer, seq)
        elif seq in newest or seq == base or last_ms is None or at_ms - last_ms >= spacing_ms(pings_ms):
            last_ms = at_ms
        else:
            store_checkpoint.drop(writer, seq)
    return base


def _drop_frames(writer: Writer, base: int) -> bool:
    """Drop frames up to the base, and versions of the site that no kept frame was folded under."""
    with writer.statement() as connection:
        connection.execute("DELETE FROM sites WHERE seq < (SELECT max(seq) FROM sites WHERE seq <= ?)", (base,))
    for _ in range(_PIECES):
        with writer.statement() as connection:
            rows = connection.execute(
                "SELECT seq, length(data) FROM journal WHERE seq <= ? ORDER BY seq LIMIT ?", (base, _ROWS)
            ).fetchall()
            if not rows:
                return False
            upto, size = rows[0]
            for seq, length in rows[1:]:
                size += length
                if size > _BYTES:
                    break
                upto = seq
            connection.execute("DELETE FROM journal WHERE seq <= ?", (upto,))
    return True


def _drop_rows(writer: Writer, table: str, old: str, before_ms: int) -> bool:
    """Drop old rows from the table's head: rows came in order of time, so a head without an old one ends it."""
    for _ in range(_PIECES):
        with writer.statement() as connection:
            found = connection.execute(
                f"""DELETE FROM {table} WHERE rowid IN
                    (SELECT rowid FROM {table} ORDER BY rowid LIMIT {_ROWS}) AND {old}""",
                (before_ms,),
            )
            if found.rowcount == 0:
                return False
    return True
