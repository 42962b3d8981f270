"""The worker moves what there is once, again after growth only, and ends at once when told."""

import asyncio

import pytest

from quotastack.workers import huge_pages
from quotastack.workers.huge_pages import GROWTH_BYTES, HugePagesWorker


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    pieces: list[int] = []
    monkeypatch.setattr(huge_pages, "are_allowed", lambda: True)
    monkeypatch.setattr(huge_pages, "find_pieces", lambda: [1, 2])
    monkeypatch.setattr(huge_pages, "collapse", pieces.append)
    monkeypatch.setattr(huge_pages, "PIECE_PAUSE_SECONDS", 0)
    monkeypatch.setattr(huge_pages, "PAUSE_SECONDS", 0.001)
    return pieces


def run_while_looking(worker: HugePagesWorker, monkeypatch: pytest.MonkeyPatch, *, sizes: list[int]) -> None:
    """A run in which the worker sees one size after the other, and is told to end with the last."""

    async def story() -> None:
        stopping = asyncio.Event()
        left = list(sizes)

        def resident() -> int:
            if len(left) == 1:
                stopping.set()
                return left[0]
            return left.pop(0)

        monkeypatch.setattr(huge_pages, "resident_bytes", resident)
        await asyncio.wait_for(worker.run(stopping), 10)

    asyncio.run(story())


def test_growth_is_moved_and_rest_is_left_alone(moved: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    worker = HugePagesWorker()
    size = 100 * GROWTH_BYTES
    run_while_looking(worker, monkeypatch, sizes=[size] * 6)
    assert moved == [1, 2]
    run_while_looking(worker, monkeypatch, sizes=[size + GROWTH_BYTES - 1] * 6)
    assert moved == [1, 2]
    run_while_looking(worker, monkeypatch, sizes=[size + GROWTH_BYTES] * 6)
    assert moved == [1, 2, 1, 2]


def test_a_system_without_them_is_left_alone(moved: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huge_pages, "are_allowed", lambda: False)

    async def story() -> None:
        stopping = asyncio.Event()
        running = asyncio.create_task(HugePagesWorker().run(stopping))
        await asyncio.sleep(0.05)
        assert not running.done()
        stopping.set()
        await asyncio.wait_for(running, 10)

    asyncio.run(story())
    assert moved == []


def test_it_ends_between_two_pieces(moved: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huge_pages, "resident_bytes", lambda: 100 * GROWTH_BYTES)
    monkeypatch.setattr(huge_pages, "find_pieces", lambda: list(range(1_000)))

    async def story() -> None:
        stopping = asyncio.Event()

        def collapse(piece: int) -> bool:
            moved.append(piece)
            if len(moved) == 3:
                stopping.set()
            return True

        monkeypatch.setattr(huge_pages, "collapse", collapse)
        await asyncio.wait_for(HugePagesWorker().run(stopping), 10)

    asyncio.run(story())
    assert len(moved) == 3
