"""The heap in large pages: which parts of the memory are worth it, and that the kernel is asked rightly."""

import ctypes
import mmap

import pytest

from quotastack.runtime import huge_pages
from quotastack.runtime.huge_pages import HUGE_BYTES, Mapping, find_pieces, read_mappings

SMAPS = """\
00400000-00401000 r-xp 00000000 fe:00 1234                               /usr/bin/python3
Size:                  4 kB
Rss:                   4 kB
AnonHugePages:         0 kB
VmFlags: rd ex mr mw me
03b00000-05100000 rw-p 00000000 00:00 0                                  [heap]
Size:              22528 kB
Rss:               20000 kB
AnonHugePages:      4096 kB
VmFlags: rd wr mr mw me ac
7fa36ccff000-7fa36dbff000 rw-p 00000000 00:00 0
Size:              15360 kB
Rss:               15292 kB
AnonHugePages:     12288 kB
7fa36c4ff000-7fa36ccff000 rw-p 00000000 00:00 0
Size:               8192 kB
Rss:                  12 kB
AnonHugePages:         0 kB
7fa400000000-7fa401000000 rw-s 00000000 00:01 77                         /dev/zero (deleted)
Size:              16384 kB
Rss:               16384 kB
AnonHugePages:         0 kB
"""


def test_writable_private_memory_without_a_file_is_read() -> None:
    heap, full, stack = read_mappings(SMAPS)
    assert heap == Mapping(0x3B00000, 0x5100000, 20_000 * 1024, 4_096 * 1024)
    assert full == Mapping(0x7FA36CCFF000, 0x7FA36DBFF000, 15_292 * 1024, 12_288 * 1024)
    assert stack.resident == 12 * 1024


def test_what_is_in_use_and_still_in_small_pages_is_worth_moving() -> None:
    heap, full, stack = read_mappings(SMAPS)
    assert [mapping.is_worth_it for mapping in (heap, full, stack)] == [True, False, False]


@pytest.mark.parametrize(
    ("start", "end", "pieces"),
    [
        (0, 2, [0]),
        (1, 4, [2]),
        (1, 3, []),
        (2, 8, [2, 4, 6]),
        (3, 9, [4, 6]),
    ],
)
def test_pieces_are_whole_and_lie_inside(start: int, end: int, pieces: list[int]) -> None:
    mebibyte = HUGE_BYTES // 2
    mapping = Mapping(start * mebibyte, end * mebibyte, 0, 0)
    assert list(mapping.pieces) == [piece * mebibyte for piece in pieces]


def test_a_full_piece_of_this_process_keeps_its_bytes() -> None:
    with mmap.mmap(-1, 4 * HUGE_BYTES, flags=mmap.MAP_PRIVATE) as memory:
        memory.write(b"q" * len(memory))
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        piece = -(-address // HUGE_BYTES) * HUGE_BYTES
        is_moved = huge_pages.collapse(piece)
        assert memory[:] == b"q" * len(memory)
        if is_moved:
            assert any(
                mapping.start <= piece < mapping.end and mapping.huge >= HUGE_BYTES
                for mapping in read_mappings(huge_pages.SMAPS.read_text())
            )


def test_nothing_is_asked_of_a_system_that_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huge_pages, "POLICY", huge_pages.POLICY.parent / "missing")
    assert not huge_pages.are_allowed()


def test_an_address_that_nothing_is_at_is_no_error() -> None:
    assert not huge_pages.collapse(HUGE_BYTES)


def test_this_process_can_be_read() -> None:
    assert huge_pages.resident_bytes() > HUGE_BYTES
    assert all(piece % HUGE_BYTES == 0 for piece in find_pieces())
