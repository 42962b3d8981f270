"""All long work shares one slice of each turn, step by step; none of it starves, none of it stops the other."""

import asyncio
from typing import Any

import pytest

from quotastack.runtime import slices
from quotastack.runtime.slices import Slices


class Work:
    """So many steps; each is noted with its name."""

    def __init__(self, name: str, steps: int, done: list[str]) -> None:
        self.name, self.steps, self.done = name, steps, done

    def __call__(self) -> bool:
        self.done.append(self.name)
        self.steps -= 1
        return self.steps > 0


def test_long_works_take_their_steps_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_SECONDS", 60.0)

    async def story() -> None:
        shared, done = Slices(), list[str]()
        shared.add(Work("a", 3, done))
        shared.add(Work("b", 2, done))
        assert not done
        await asyncio.sleep(0)
        assert done == ["a", "b", "a", "b", "a"]

    asyncio.run(story())


def test_each_gets_one_step_of_a_turn_however_little_time_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)

    async def story() -> None:
        shared, done = Slices(), list[str]()
        for name in "abc":
            shared.add(Work(name, 2, done))
        await asyncio.sleep(0)
        assert done == ["a", "b", "c"]
        shared.add(Work("d", 1, done))
        await asyncio.sleep(0)
        assert done[3:] == ["a", "b", "c", "d"]
        await asyncio.sleep(0)
        assert len(done) == 7

    asyncio.run(story())


def test_an_error_stops_neither_its_own_work_nor_that_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)

    async def story() -> None:
        told: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: told.append(context["exception"])
        )
        shared, done = Slices(), list[str]()
        broken = iter([True, False])

        def break_once() -> bool:
            if next(broken):
                raise ValueError
            done.append("mended")
            return False

        shared.add(break_once)
        shared.add(Work("b", 2, done))
        for _ in range(4):
            await asyncio.sleep(0)
        assert [type(error) for error in told] == [ValueError]
        assert sorted(done) == ["b", "b", "mended"]

    asyncio.run(story())
