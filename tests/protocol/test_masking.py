import os
import sys

import pytest

from chargehand.protocol import masking
from chargehand.protocol.masking import choose_mask, fresh_key, mask, mask_by_integers


def test_the_example_of_section_5_7_is_masked() -> None:
    key = bytes.fromhex("37fa213d")
    assert mask(b"Hello", key) == mask_by_integers(b"Hello", key) == bytes.fromhex("7f9f4d5158")


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 125, 126, 127, 4096, 65_537])
def test_both_ways_of_masking_agree_at_every_size_and_undo_themselves(size: int) -> None:
    for key in (b"\0\0\0\0", b"\0\0\0\1", b"\xff\0\0\0", b"\xff\xff\xff\xff", b"\x12\x34\x56\x78"):
        payload = os.urandom(size)
        masked = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
        assert mask(payload, key) == mask_by_integers(payload, key) == masked
        assert mask(masked, key) == mask_by_integers(masked, key) == payload
        assert type(mask(payload, key)) is type(mask_by_integers(payload, key)) is bytes


def test_without_the_extension_integers_do_the_masking(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_mask() is not mask_by_integers
    monkeypatch.setitem(sys.modules, "websockets.speedups", None)
    assert choose_mask() is mask_by_integers


def test_keys_come_from_the_systems_random_source_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    source = b"".join(number.to_bytes(4, "big") for number in range(10_000))
    drawn = 0

    def urandom(size: int) -> bytes:
        nonlocal drawn
        drawn += size
        return source[drawn - size : drawn]

    monkeypatch.setattr(masking, "_keys", [])
    monkeypatch.setattr(os, "urandom", urandom)
    keys = {int.from_bytes(fresh_key(), "big") for _ in range(1000)}
    assert len(keys) == 1000
    assert max(keys) < drawn // 4


def test_a_forked_process_draws_keys_of_its_own() -> None:
    masking._keys.clear()
    fresh_key()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, fresh_key() + fresh_key())
        finally:
            os._exit(0)
    os.close(writer)
    theirs = os.read(reader, 8)
    os.close(reader)
    os.waitpid(child, 0)
    assert len(theirs) == 8
    assert theirs != fresh_key() + fresh_key()
