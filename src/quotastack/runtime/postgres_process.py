"""The embedded server as a process: what it is configured with, what it inherits, and whether it is there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

CONFIGURATION: Final = """\
# Written by QuotaStack at every start. Put settings of your own into operator.conf in this directory.
listen_addresses = ''
port = {port}
unix_socket_directories = '{socket_directory}'
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
max_connections = 100

# An acknowledged write is on disk.
fsync = on
synchronous_commit = on
full_page_writes = on

# A small machine. Segments of the log that a busy hour made are kept and used again: a new one is 16 MB of zeros that
# everybody waits for. As long as there was no such hour, there are few of them.
shared_buffers = '256MB'
max_wal_size = '4GB'
min_wal_size = '4GB'
checkpoint_timeout = '15min'
wal_compression = off
jit = off
random_page_cost = 1.1
autovacuum_naptime = '15s'

timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %u '
{of_this_version}include_if_exists = 'operator.conf'
"""

# Nobody replicates into the embedded database, and the file that would tell how far must be written by every
# checkpoint: where the disk is full for it, PostgreSQL stops.
WITHOUT_ORIGINS: Final = "max_active_replication_origins = 0\n"
WITHOUT_ORIGINS_MAJOR_MIN: Final = (
    18  # before that the setting is one with that of replication slots, which backups use
)


def configure(*, major: int, port: int, socket_directory: str) -> str:
    """What ``postgresql.conf`` says for a version."""
    return CONFIGURATION.format(
        port=port,
        socket_directory=socket_directory.replace("'", "''"),
        of_this_version=WITHOUT_ORIGINS if major >= WITHOUT_ORIGINS_MAJOR_MIN else "",
    )


def is_postgres_of(pid: int, directory: Path) -> bool:
    """Whether a process is alive and is the server of that directory (a server works inside its own)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    process = Path("/proc") / str(pid)
    if not process.exists():
        # No /proc (macOS): ask ps for the command line, which names the directory.
        listed = subprocess.run(
            ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, timeout=10, check=False
        )
        return str(directory) in listed.stdout
    try:
        if process.joinpath("stat").read_text("utf-8").rpartition(")")[2].split()[0] == "Z":
            return False
        return process.joinpath("cwd").readlink() == directory.resolve()
    except OSError:
        return False


def clean_environment() -> dict[str, str]:
    """PostgreSQL gets no variable of ours: none of it is its business, and PG* ones would change what it does."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
