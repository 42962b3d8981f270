"""Huge pages: has the kernel keep the memory of this process in pages of 2 MiB instead of 4 KiB.

A debit touches a few hundred small objects all over a heap of a hundred megabytes. The processor remembers where some
two thousand pages are; whatever lies on another one is looked up first, in tables that a virtual machine makes twice
as deep. In large pages the whole heap is remembered. What it brings is in docs/performance.md.

Linux only, from 6.1 on, and only where the administrator has not said ``never``; elsewhere nothing is done and nothing
depends on it. No value changes by it, and the process grows by what rounding up to 2 MiB costs.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

HUGE_BYTES: Final = 2 * 1024 * 1024

MADV_COLLAPSE: Final = 25

MAPS: Final = Path("/proc/self/maps")
STATM: Final = Path("/proc/self/statm")
POLICY: Final = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

_LINE: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \S+ *(.*)")


class Mapping(NamedTuple):
    """One range of the process's memory, from address ``start`` up to ``end``."""

    start: int
    end: int

    @property
    def pieces(self) -> range:
        """The addresses of what can be a huge page."""
        first = -(-self.start // HUGE_BYTES) * HUGE_BYTES
        return range(first, self.end - HUGE_BYTES + 1, HUGE_BYTES)


def are_allowed() -> bool:
    """Whether this system has huge pages and lets a process ask for them."""
    try:
        return sys.platform == "linux" and "[never]" not in POLICY.read_text()
    except OSError:
        return False


def resident_bytes() -> int:
    """The memory that the process has in use."""
    return int(STATM.read_text().split()[1]) * PAGE_BYTES


def find_pieces() -> list[int]:
    """The addresses of all that can be kept in huge pages; what is in them already costs nothing to ask for again."""
    return [piece for mapping in read_mappings(MAPS.read_text()) for piece in mapping.pieces]


def read_mappings(maps: str) -> Iterator[Mapping]:
    """The heap, out of what ``/proc/PID/maps`` says: writable, private, of no file, and no thread's stack.

    A stack stands on a page that nobody may touch, and most of its eight megabytes are never used.
    """
    guarded_from = 0
    for line in maps.splitlines():
        found = _LINE.fullmatch(line)
        assert found is not None, line
        start, end, rights, name = int(found[1], 16), int(found[2], 16), found[3], found[4]
        if rights == "rw-p" and name in ("", "[heap]") and start != guarded_from:
            yield Mapping(start, end)
        guarded_from = end if rights == "---p" else 0


def collapse(piece: int) -> bool:
    """Move what is at this address into one huge page; False: not now, or not here.

    Takes some milliseconds, in which whoever touches that piece waits; other threads of the interpreter run meanwhile.
    """
    return _madvise(piece, HUGE_BYTES, MADV_COLLAPSE) == 0


if sys.platform == "linux":
    _madvise = ctypes.CDLL(None).madvise
    _madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    _madvise.restype = ctypes.c_int
else:

    def _madvise(_address: int, _size: int, _advice: int) -> int:
        return -1
