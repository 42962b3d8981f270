"""The crash rig in its long form: 20 kills of the server and of PostgreSQL under load."""

from collections.abc import Callable
from pathlib import Path

from tests.races.kill_rig import survive


def test_twenty_kills(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    told = survive(tmp_path, server_kills=12, database_kills=8)
    for name, count in told.items():
        record_property(name, count)
    assert (told["server"], told["database"]) == (12, 8)
