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

# A mapping that is less full than that is one whose empty part is kept for later, like the stack of a thread.
FULL_SHARE: Final = 0.5

MADV_COLLAPSE: Final = 25

SMAPS: Final = Path("/proc/self/smaps")
STATM: Final = Path("/proc/self/statm")
POLICY: Final = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

_HEAD: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \S+ *(.*)")


class Mapping(NamedTuple):
    """One range of the process's private memory, from ``start`` up to ``end``; sizes in bytes."""

    start: int
    end: int
    resident: int
    huge: int

    @property
    def pieces(self) -> range:
        """The addresses of what can be a huge page."""
        first = -(-self.start // HUGE_BYTES) * HUGE_BYTES
        return range(first, self.end - HUGE_BYTES + 1, HUGE_BYTES)

    @property
    def is_worth_it(self) -> bool:
        """Whether it is mostly in use and not yet in huge pages."""
        is_full = self.resident >= FULL_SHARE * (self.end - self.start)
        return is_full and self.huge < len(self.pieces) * HUGE_BYTES


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
    """The addresses of what is worth keeping in a huge page and is not."""
    return [
        piece
        for mapping in read_mappings(SMAPS.read_text())
        if mapping.is_worth_it
        for piece in mapping.pieces
    ]


def read_mappings(smaps: str) -> Iterator[Mapping]:
    """The writable private mappings without a file, out of what ``/proc/PID/smaps`` says."""
    place: tuple[int, int] | None = None
    resident = 0
    for line in smaps.splitlines():
        head = _HEAD.fullmatch(line)
        if head is not None:
            start, end, rights, name = head.groups()
            is_heap = rights == "rw-p" and name in ("", "[heap]")
            place = (int(start, 16), int(end, 16)) if is_heap else None
        elif place is not None and line.startswith("Rss:"):
            resident = _kibibytes(line)
        elif place is not None and line.startswith("AnonHugePages:"):
            yield Mapping(*place, resident, _kibibytes(line))


def _kibibytes(line: str) -> int:
    return int(line.split()[1]) * 1024


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
