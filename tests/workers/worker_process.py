"""A delivery worker as a process of its own, to be killed.

Forked from a process that has imported everything: how long Python takes to start is not what is measured. Leases end
soon, so that a kill costs seconds; their ids begin with the worker's process id, so that whose they were is known.
"""

import asyncio
import multiprocessing
import os
import signal
from multiprocessing.connection import Connection as Pipe

import uvloop

from quotastack.runtime.bootstrap import connect_as_worker
from quotastack.runtime.clock import HostClock
from quotastack.runtime.database import Database
from quotastack.runtime.random_ids import new_id
from quotastack.runtime.settings import load_settings
from quotastack.services import webhook_delivery
from quotastack.services.container import Services
from quotastack.workers import deliveries

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


def lease_prefix(process_id: int) -> str:
    """How the leases of that worker begin."""
    return f"{process_id:08x}-"


async def _work(environment: dict[str, str], pipe: Pipe) -> None:
    prefix = lease_prefix(os.getpid())
    deliveries.LEASE_MARGIN_SECONDS = 2.5
    webhook_delivery.new_id = lambda: prefix + new_id()[len(prefix) :]
    settings = load_settings(environment)
    target, secret = connect_as_worker(settings)
    pools = Database(target)
    await pools.open()
    services = Services(settings, secret=secret, database=pools, clock=HostClock())
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    pipe.send("working")
    await deliveries.DeliveryWorker(services).run(stopping)
    await pools.close()


def _main(environment: dict[str, str], pipe: Pipe) -> None:
    uvloop.run(_work(environment, pipe))


class WorkerProcess:
    """One worker; ``start`` returns when it works."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.start()

    @property
    def process_id(self) -> int:
        """The running process, or the last one."""
        assert self.process.pid is not None
        return self.process.pid

    def start(self) -> None:
        mine, its = _processes.Pipe()
        self.process = _processes.Process(target=_main, args=(self.environment, its), daemon=True)
        self.process.start()
        its.close()
        assert mine.recv() == "working"
        mine.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.join(30)

    def stop(self) -> None:
        self.process.terminate()
        self.process.join(30)
