"""What the drills share: the commands of the page on backups, and callers who remember what was acknowledged when."""

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx2
from tests.races.servers import Client

from quotastack.runtime.database import DatabaseTarget
from quotastack.runtime.embedded import Cluster

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "backup.md"
CALLERS = 4
_section = re.compile(r"^#+ (.+?)\n(.*?)(?=^# |^## |\Z)", re.DOTALL | re.MULTILINE)
_block = re.compile(r"```bash\n(.*?)```", re.DOTALL)


def commands(section: str, number: int = 0) -> str:
    """A block of commands of the page, by the heading that it stands under."""
    sections = dict(_section.findall(PAGE.read_text("utf-8")))
    return _block.findall(sections[section])[number]


def run_page(folder: Path, section: str, number: int = 0, **names: str | Path) -> str:
    """Run a block of the page as it stands, with its names set; what it printed."""
    script = commands("Backup and restore") + commands(section, number)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, **{name: str(value) for name, value in names.items()}},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-3_000:]}\n{done.stderr[-3_000:]}"
    return done.stdout


class Debit(NamedTuple):
    """One acknowledged call, by the clock of this machine."""

    key: str
    sent_at: float
    answered_at: float


class Debits:
    """Callers that debit until they are told to stop. Answers other than 201 are kept by status."""

    def __init__(self, base_url: str, api_key: str, body: dict[str, Any], name: str = "drill") -> None:
        self.name = name
        self.base_url = base_url
        self.api_key = api_key
        self.body = body
        self.done: list[Debit] = []
        self.unknown: list[str] = []
        self.refused: list[str] = []
        self.changed = threading.Condition()
        self.stopping = threading.Event()
        self.callers = [threading.Thread(target=self._call, args=(number,)) for number in range(CALLERS)]

    def __enter__(self) -> Self:
        for caller in self.callers:
            caller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for caller in self.callers:
            caller.join(60)

    def wait_for(self, count: int) -> None:
        """Until so many more are acknowledged."""
        with self.changed:
            goal = len(self.done) + count
            assert self.changed.wait_for(lambda: len(self.done) >= goal, 120), (
                len(self.done),
                self.refused[:3],
            )

    def _call(self, caller: int) -> None:
        client = Client(self.base_url, self.api_key, timeout_seconds=30)
        number = 0
        while not self.stopping.is_set():
            number += 1
            key = f"{self.name}:{caller}:{number}"
            sent_at = time.time()
            try:
                response = client.post("/v1/usage", self.body, key=key)
            except httpx2.HTTPError:
                self.unknown.append(key)
                continue
            with self.changed:
                if response.status == 201:
                    self.done.append(Debit(key, sent_at, time.time()))
                else:
                    self.refused.append(f"{response.status} {response.content[:300]!r}")
                self.changed.notify_all()
        client.close()


def keys_in(target: DatabaseTarget) -> set[str]:
    """The keys of all debits that a database holds."""

    async def read() -> set[str]:
        owner = await target.connect_owner()
        try:
            rows = await owner.fetch("SELECT idempotency_key FROM quotastack.usage_events")
            return {row[0] for row in rows if row[0] is not None}
        finally:
            await owner.close()

    return asyncio.run(read())


def keys_in_data(data: Path) -> set[str]:
    """The same of an embedded one that nobody uses."""
    cluster = Cluster(data)
    cluster.start_or_join()
    try:
        return keys_in(DatabaseTarget(cluster.dsn, "", cluster.password))
    finally:
        cluster.leave()
