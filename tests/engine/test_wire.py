"""Frames: what several threads pack and unpack at once, and what is no frame."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.ports import StoreError
from engine.wire import FrameError, UserChanged, decode_frame, encode_frame


def test_threads_that_pack_and_unpack_at_once_do_not_spoil_each_others_frames() -> None:
    # One compressor was shared: an export beside pings wrote frames that could never be read, or ended the process.
    def work(seed: int) -> bool:
        chance = random.Random(seed)
        whole = True
        for n in range(150):
            noise = "".join(chance.choices("abcdefgh", k=chance.randrange(500, 60_000)))
            inputs = [UserChanged(f"u-{seed}", attributes={"noise": noise})]
            whole = whole and list(decode_frame(encode_frame(n, inputs)).inputs) == inputs
        return whole

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [True] * 4


@pytest.mark.parametrize("data", [b"", b"\x07abc", b"\x01abc", b"\x00abc"])
def test_what_is_no_frame_is_a_fault_of_the_store(data: bytes) -> None:
    with pytest.raises(FrameError) as caught:
        decode_frame(data)
    assert isinstance(caught.value, StoreError)
