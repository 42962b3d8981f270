"""What an operation works with: one value per process, handed to every service function."""

from __future__ import annotations

from quotastack.runtime.clock import Clock
from quotastack.runtime.database import Database
from quotastack.runtime.secret import InstallationSecret
from quotastack.runtime.settings import Settings


class Services:
    """The process's settings, secret, database and clock.

    Commands that run beside a server make one with pools and a clock only.
    """

    __slots__ = ("clock", "database", "secret", "settings")

    def __init__(
        self, settings: Settings, *, secret: InstallationSecret, database: Database, clock: Clock
    ) -> None:
        self.settings = settings
        self.secret = secret
        self.database = database
        self.clock = clock
