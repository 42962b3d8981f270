"""A delivery worker as a process of its own, to be killed. Leases end soon, so that a kill costs seconds."""

import asyncio
import signal
import sys

from quotastack.runtime.bootstrap import connect_as_worker
from quotastack.runtime.clock import HostClock
from quotastack.runtime.database import Database
from quotastack.runtime.settings import load_settings
from quotastack.services.container import Services
from quotastack.workers import deliveries


async def main() -> None:
    deliveries.LEASE_MARGIN_SECONDS = 2.5
    settings = load_settings()
    target, secret = connect_as_worker(settings)
    pools = Database(target)
    await pools.open()
    services = Services(settings, secret=secret, database=pools, clock=HostClock())
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    sys.stdout.write("working\n")
    sys.stdout.flush()
    await deliveries.DeliveryWorker(services).run(stopping)
    await pools.close()


if __name__ == "__main__":
    asyncio.run(main())
