"""Bugs that the rigs plant: each still has a place, so that no change of a line leaves one that nobody could notice."""

import pytest
from tests.rigs.planted.bugs import BUGS, Bug
from tests.rigs.planted.run import gone_texts


@pytest.mark.parametrize("bug", list(BUGS.values()), ids=list(BUGS))
def test_a_bug_can_be_planted(bug: Bug) -> None:
    assert not gone_texts(bug)
