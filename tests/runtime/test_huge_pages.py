"""The heap in large pages: which parts of the memory are worth it, and that the kernel is asked rightly."""

import ctypes
import mmap
import re

import pytest

from quotastack.runtime import huge_pages
from quotastack.runtime.huge_pages import HUGE_BYTES, Mapping, find_pieces, read_mappings

MAPS = """\
00400000-00401000 r-xp 00000000 fe:00 1234                               /usr/bin/python3
00946000-00a85000 rw-p 00545000 fe:00 1234                               /usr/bin/python3
03b00000-05100000 rw-p 00000000 00:00 0                                  [heap]
7fa36c4fe000-7fa36c4ff000 ---p 00000000 00:00 0
7fa36c4ff000-7fa36ccff000 rw-p 00000000 00:00 0
7fa36ccff000-7fa36dbff000 rw-p 00000000 00:00 0
7fa400000000-7fa401000000 rw-s 00000000 00:01 77                         /dev/zero (deleted)
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
"""


def test_the_heap_is_read_and_neither_files_nor_stacks() -> None:
    assert list(read_mappings(MAPS)) == [
        Mapping(0x3B00000, 0x5100000),
        Mapping(0x7FA36CCFF000, 0x7FA36DBFF000),
    ]


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
    mapping = Mapping(start * mebibyte, end * mebibyte)
    assert list(mapping.pieces) == [piece * mebibyte for piece in pieces]


def huge_kibibytes(address: int) -> int:
    """How much of the mapping around an address the kernel keeps in huge pages, by its own account."""
    is_inside = False
    for line in huge_pages.MAPS.with_name("smaps").read_text().splitlines():
        if head := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            is_inside = int(head[1], 16) <= address < int(head[2], 16)
        elif is_inside and line.startswith("AnonHugePages:"):
            return int(line.split()[1])
    raise AssertionError(hex(address))


def test_a_full_piece_of_this_process_keeps_its_bytes() -> None:
    with mmap.mmap(-1, 4 * HUGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.write(b"q" * len(memory))
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        piece = -(-address // HUGE_BYTES) * HUGE_BYTES
        is_moved = huge_pages.collapse(piece)
        assert memory[:] == b"q" * len(memory)
        if is_moved:
            assert huge_kibibytes(piece) >= HUGE_BYTES // 1024


def test_nothing_is_asked_of_a_system_that_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huge_pages, "POLICY", huge_pages.POLICY.parent / "missing")
    assert not huge_pages.are_allowed()


def test_an_address_that_nothing_is_at_is_no_error() -> None:
    assert not huge_pages.collapse(HUGE_BYTES)


def test_this_process_can_be_read() -> None:
    assert huge_pages.resident_bytes() > HUGE_BYTES
    assert all(piece % HUGE_BYTES == 0 for piece in find_pieces())
