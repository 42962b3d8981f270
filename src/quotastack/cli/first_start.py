"""The first start: a default tenant with a small demo, and what ``serve`` prints."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

import msgspec

from quotastack import __version__
from quotastack.cli.demo import CUSTOMER, METRIC, create_demo
from quotastack.runtime.secret import write_private_file
from quotastack.runtime.settings import Settings
from quotastack.services.container import Services
from quotastack.services.tenants import create_first_tenant

DEFAULT_TENANT: Final = "Default"
FILE_NAME: Final = "env"


class FirstStart(msgspec.Struct, frozen=True):
    """The keys of the default tenant, at the one moment when they are known."""

    test_key: str
    live_key: str


async def prepare_first_start(services: Services, *, url: str) -> FirstStart | None:
    """Make the default tenant and its demo where there is no tenant yet; None where there is one.

    The keys are in their file before anything else happens, so that a crash cannot lose them.
    """
    made = await create_first_tenant(services, name=DEFAULT_TENANT)
    if made is None:
        return None
    data = services.settings.data
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = f"QS_BASE_URL={url}\nQS_TEST_KEY={made.test_key}\nQS_LIVE_KEY={made.live_key}\n"
    write_private_file(data / FILE_NAME, keys.encode())
    await create_demo(services, made)
    return FirstStart(made.test_key, made.live_key)


def announce(settings: Settings, url: str, first_start: FirstStart | None) -> None:
    """Print where the server is, and one call that works as pasted."""
    path = settings.data / FILE_NAME
    check = f"{url}/v1/customer-by-external-id/{CUSTOMER}/entitlements/{METRIC}"
    lines = [f"QuotaStack {__version__} on {url}", f"Reference  {url}/reference"]
    if first_start is not None:
        lines += [
            f"Test key   {first_start.test_key}   (shown once; also in {_show(path)})",
            "Try it:",
            f"  curl -s -H 'X-API-Key: {first_start.test_key}' '{check}'",
        ]
    elif path.exists():
        source = f". {shlex.quote(_show(path, for_shell=True))}"
        lines += [
            f"Test key   in {_show(path)}",
            "Try it:",
            f"  ({source}; curl -s -H \"X-API-Key: $QS_TEST_KEY\" '{check}')",
        ]
    print("\n".join(lines), flush=True)


def _show(path: Path, *, for_shell: bool = False) -> str:
    """The path as it is reached from here, when that is shorter; a shell sources it only with a slash in it."""
    here = Path.cwd()
    if not path.is_relative_to(here):
        return str(path)
    near = str(path.relative_to(here))
    return f"./{near}" if for_shell else near
