"""The server falls again and again while it turns periods: the long form."""

from pathlib import Path

from tests.races.boundary_rig import survive_boundaries
from tests.rigs.figures import tell


def test_twenty_kills_during_boundary_sweeps(tmp_path: Path) -> None:
    boundaries = survive_boundaries(tmp_path, kills=20, customers=20)
    tell(
        "P5", "P15", ran=f"20 kills of the server while {boundaries} boundaries fell due", cases=20, kills=20
    )
    assert boundaries == 20 * 5 * 20
