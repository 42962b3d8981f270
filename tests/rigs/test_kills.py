"""The crash rig in its long form: 20 kills of the server and of PostgreSQL under load."""

import sys
from pathlib import Path

from tests.races.boundary_rig import survive_boundaries
from tests.races.kill_rig import survive


def test_twenty_kills(tmp_path: Path) -> None:
    told = survive(tmp_path, server_kills=12, database_kills=8)
    sys.stderr.write(f"{dict(told)}\n")
    assert (told["server"], told["database"]) == (12, 8)


def test_twenty_kills_during_boundary_sweeps(tmp_path: Path) -> None:
    assert survive_boundaries(tmp_path, kills=20, customers=20) == 20 * 5 * 20
