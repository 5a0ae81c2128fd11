"""SHA-256 of short texts, for kernels that make many ids: `rules/ids.py` has the recipe of these.

Owns the digest and how it is written in hex. Must not know what is hashed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.kernel import inlined, kernel
from engine.layout import Array, wide

#: How many bytes of a digest make an id.
ID_BYTES = 16
#: What is hashed is padded in place: so much room must be behind it.
PADDING = 128


def _fractions(root: int, count: int) -> Array:
    """The first 32 bits of the fractions of the roots of the first primes: the numbers that the algorithm begins with.

    >>> [f"{n:08x}" for n in (*_fractions(2, 8)[:1], *_fractions(3, 64)[-1:])]
    ['6a09e667', 'c67178f2']
    """
    primes = [n for n in range(2, 312) if all(n % m for m in range(2, n))][:count]
    return np.array([int(prime ** (1 / root) % 1 * 2**32) for prime in primes], np.uint32)


_BEGIN, _ROUNDS = _fractions(2, 8), _fractions(3, 64)
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


@inlined
def _turned(word: Any, bits: int) -> Any:
    return np.uint32((word >> bits) | (word << (32 - bits)))


@kernel
def put_id(out: Array, at: int, text: Array, size: int, words: Array) -> int:
    """Write the id that `text[:size]` hashes to into `out` at `at`; returns where it ends.

    `text` has `PADDING` bytes more, which are written over; `words` is room for 72 numbers.
    """
    end = (size + 8) // 64 * 64 + 64
    text[size] = 0x80
    for i in range(size + 1, end - 8):
        text[i] = 0
    for i in range(8):
        text[end - 1 - i] = (8 * size >> 8 * i) & 0xFF
        words[64 + i] = _BEGIN[i]
    for block in range(0, end, 64):
        _mix(text, block, words)
    for i in range(ID_BYTES):
        byte = words[64 + i // 4] >> (24 - i % 4 * 8) & 0xFF
        out[at + 2 * i], out[at + 2 * i + 1] = _HEX[byte >> 4], _HEX[byte & 15]
    return at + 2 * ID_BYTES


@inlined
def _mix(text: Array, block: int, words: Array) -> None:
    """Take in one block: `words[64:]` is the state, what is before it is worked on."""
    for i in range(16):
        at = block + 4 * i
        words[i] = wide(text[at]) << 24 | wide(text[at + 1]) << 16 | wide(text[at + 2]) << 8 | wide(text[at + 3])
    for i in range(16, 64):
        x, y = words[i - 15], words[i - 2]
        x = _turned(x, 7) ^ _turned(x, 18) ^ (x >> 3)
        y = _turned(y, 17) ^ _turned(y, 19) ^ (y >> 10)
        words[i] = words[i - 16] + x + words[i - 7] + y
    a, b, c, d = words[64], words[65], words[66], words[67]
    e, f, g, h = words[68], words[69], words[70], words[71]
    for i in range(64):
        x = h + (_turned(e, 6) ^ _turned(e, 11) ^ _turned(e, 25)) + ((e & f) ^ (~e & g)) + _ROUNDS[i] + words[i]
        y = (_turned(a, 2) ^ _turned(a, 13) ^ _turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))
        h, g, f, e, d, c, b, a = g, f, e, np.uint32(d + x), c, b, a, np.uint32(x + y)
    words[64] += a
    words[65] += b
    words[66] += c
    words[67] += d
    words[68] += e
    words[69] += f
    words[70] += g
    words[71] += h
