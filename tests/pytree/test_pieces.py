"""Checksums of pieces: no altered word goes unseen, and threads change nothing."""

from __future__ import annotations

import hashlib
import itertools
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.pytree.storage.pieces import PIECE, Crew, bytes_of, cuts, word_sums


def by_definition(content: bytes) -> bytes:
    padded = content.ljust(-(-len(content) // 4096) * 4096, b"\0")
    words = [int.from_bytes(padded[i : i + 8], "little") for i in range(0, len(padded), 8)]
    rows = [sum(words[i : i + 512]) for i in range(0, len(words), 512)]
    columns = [sum(words[i::512]) for i in range(512)]
    return hashlib.sha256(b"".join((total % 2**64).to_bytes(8, "little") for total in rows + columns)).digest()


@pytest.mark.parametrize("size", [1, 8, 4095, 4096, 4097, 70_000, 1 << 20])
def test_the_sums_are_those_of_the_definition(size: int) -> None:
    content = np.random.default_rng(size).bytes(size)
    assert word_sums(memoryview(content)) == by_definition(content)
    assert word_sums(memoryview(bytearray(content))) == word_sums(memoryview(content))


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_no_change_of_one_or_two_words_goes_unseen(data: st.DataObject) -> None:
    content = bytearray(np.random.default_rng(3).bytes(20_000))
    before = word_sums(memoryview(content))
    words = np.frombuffer(content, dtype="<u8")
    first, second = data.draw(st.tuples(st.integers(0, 2499), st.integers(0, 2499)))
    kind = data.draw(st.sampled_from(["swap", "move", "flip"]))
    if kind == "swap":
        changed = words[first] != words[second]
        words[first], words[second] = words[second], words[first]
    elif kind == "move":  # what is taken from one is given to the other
        amount = np.uint64(data.draw(st.integers(1, 2**64 - 1)))
        changed = first != second
        words[first : first + 1] += amount
        words[second : second + 1] -= amount
    else:
        changed = True
        words[first] ^= np.uint64(1 << data.draw(st.integers(0, 63)))
    assert (word_sums(memoryview(content)) != before) == changed


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_no_change_within_a_row_goes_unseen(data: st.DataObject) -> None:
    content = bytearray(np.random.default_rng(3).bytes(20_000))
    before = word_sums(memoryview(content))
    row = data.draw(st.integers(0, 4)) * 4096
    start = row + data.draw(st.integers(0, 3000))
    new = data.draw(st.binary(min_size=1, max_size=600))
    changed = content[start : start + len(new)] != new
    content[start : start + len(new)] = new
    assert (word_sums(memoryview(content)) != before) == changed


def test_a_lost_or_repeated_page_is_seen() -> None:
    content = np.random.default_rng(4).bytes(65_536)
    before = word_sums(memoryview(content))
    lost = content[:8192] + bytes(4096) + content[12_288:]
    swapped = content[4096:8192] + content[:4096] + content[8192:]
    shifted = content[8:] + content[:8]
    assert before not in {word_sums(memoryview(other)) for other in (lost, swapped, shifted)}


def test_pieces_cover_everything_once() -> None:
    for size in (1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7):
        pieces = cuts(size)
        assert pieces[0][0] == 0 and pieces[-1][1] == size
        assert all(one[1] == other[0] for one, other in itertools.pairwise(pieces))


def test_a_crew_hashes_in_order_and_passes_errors_on() -> None:
    array = np.arange(3 * PIECE // 8 + 5)
    content = bytes_of(array)
    with Crew() as crew:
        assert crew.digests(content) == [
            hashlib.sha256(content[start:stop]).digest() for start, stop in cuts(array.nbytes)
        ]
        assert crew.run(divmod, [(7, 2), (9, 4)]) == [(3, 1), (2, 1)]
        with pytest.raises(ZeroDivisionError):
            crew.run(divmod, [(1, 0)])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tessera-pieces")]
