"""The crash rig in its long form: 20 kills of the server and of PostgreSQL under load."""

from pathlib import Path

from tests.races.kill_rig import survive


def test_twenty_kills(tmp_path: Path) -> None:
    told = survive(tmp_path, server_kills=12, database_kills=8)
    print(dict(told))
    assert (told["server"], told["database"]) == (12, 8)
