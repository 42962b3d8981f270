"""The ``quotastack`` command. Every part of ``make run`` is a command of its own here."""

from __future__ import annotations

import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
import uvloop

from quotastack import __version__
from quotastack.cli.client_error import ClientError
from quotastack.core.errors import ProblemError
from quotastack.runtime.bootstrap import open_installation
from quotastack.runtime.embedded import EmbeddedError
from quotastack.runtime.migrate import MigrationError
from quotastack.runtime.postgres_binaries import BinariesNotFoundError
from quotastack.runtime.self_check import IsolationError
from quotastack.runtime.settings import Settings, SettingsError, describe_settings, load_settings
from quotastack.runtime.system_account import AccountError
from quotastack.runtime.telemetry import configure_logging
from quotastack.services.container import open_services
from quotastack.services.tenants import create_tenant

Result = TypeVar("Result")

EXPECTED: tuple[type[Exception], ...] = (
    AccountError,
    BinariesNotFoundError,
    ClientError,
    EmbeddedError,
    IsolationError,
    MigrationError,
    ProblemError,
    SettingsError,
)

SETTINGS_HELP = "Settings (environment variables):\n\n\b\n" + describe_settings()

app = typer.Typer(
    help="Open, self-hosted credit billing.",
    epilog=SETTINGS_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
tenants_app = typer.Typer(help="Tenants and their keys.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(tenants_app, name="tenants")

DataOption = Annotated[
    Path | None,
    typer.Option(help="Directory of the embedded database (joined when it runs). Default: .quotastack"),
]


ApiKeyOption = Annotated[str, typer.Option(envvar="QS_API_KEY", help="A key of the test environment.")]
UrlOption = Annotated[str, typer.Option(envvar="QS_URL", help="Where the server is.")]


@app.command(epilog=SETTINGS_HELP)
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 picks a free one. Default: 8080")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Server processes that share the port. Default: 1")
    ] = None,
    data: DataOption = None,
) -> None:
    """Start the database (or use QUOTASTACK_DATABASE_URL), migrate it and serve until Ctrl-C or SIGTERM.

    The first start makes a default tenant with a small demo in its test environment and shows its key, once.
    """
    from quotastack.cli.serve import serve_until_stopped

    settings = _load(host=host, port=port, workers=workers, data=data)
    configure_logging(settings)
    raise typer.Exit(_run(serve_until_stopped(settings)))


@app.command(hidden=True)
def work(
    descriptor: Annotated[int, typer.Option(help="The listening socket that the parent passed.")],
    parent: Annotated[int, typer.Option(help="The parent's process id.")],
) -> None:
    """One worker process of ``serve --workers N``; started by it, not by hand."""
    from quotastack.cli.worker import work_until_stopped

    settings = _load()
    configure_logging(settings)
    raise typer.Exit(_run(work_until_stopped(settings, descriptor=descriptor, parent_pid=parent)))


@tenants_app.command("create", epilog=SETTINGS_HELP)
def create(
    name: Annotated[str, typer.Argument(help="The tenant's name.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: tenant_id, test_key, live_key.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Make a tenant with a live and a test environment, and print a key for each, once."""
    made = _run(_create_tenant(_load(data=data), name))
    if as_json:
        print(json.dumps(made))
        return
    print(f"Tenant    {made['tenant_id']}  {made['name']}")
    print(f"Test key  {made['test_key']}")
    print(f"Live key  {made['live_key']}")
    print("Keep the keys: they are not shown again.")


@app.command(epilog=SETTINGS_HELP)
def migrate(
    data: DataOption = None,
    claim_roles: Annotated[
        bool, typer.Option("--claim-roles", help="Take over the role qs_app from another installation.")
    ] = False,
) -> None:
    """Bring the database's schema up to date. ``serve`` does it too."""
    applied = _run(_migrate(_load(data=data), claim_roles=claim_roles))
    print("\n".join(f"Applied {name}" for name in applied) or "The schema is up to date.")


@app.command(epilog=SETTINGS_HELP)
def doctor(data: DataOption = None) -> None:
    """Check the installation: database, schema, roles, isolation between tenants, clock. Exit code 1 on a fault."""
    from quotastack.cli.doctor import examine

    raise typer.Exit(_run(examine(_load(data=data))))


@app.command(epilog=SETTINGS_HELP)
def verify(data: DataOption = None) -> None:
    """Check every invariant of every ledger. Exit code 1, with the first broken entry, when one does not hold."""
    from quotastack.cli.verify import verify_installation

    raise typer.Exit(_run(verify_installation(_load(data=data))))


@app.command()
def listen(
    forward_to: Annotated[
        str, typer.Option(help="URL to hand events on to, such as http://localhost:3000/hook")
    ],
    api_key: ApiKeyOption,
    events: Annotated[
        list[str] | None,
        typer.Option(help="Pattern such as 'credit.*'; may be repeated. Default: everything"),
    ] = None,
    url: UrlOption = "http://127.0.0.1:8080",
) -> None:
    """Hand on a test environment's events to a local URL, signed, and print each with its answer, until Ctrl-C."""
    from quotastack.cli.webhook_client import listen as listen_to

    _run(listen_to(url, api_key, forward_to=forward_to, patterns=events or ["*"]))


@app.command()
def trigger(
    event: Annotated[str, typer.Argument(help="An event type, such as subscription.overdue")],
    api_key: ApiKeyOption,
    url: UrlOption = "http://127.0.0.1:8080",
) -> None:
    """Send a sample event to every endpoint and listener of a test environment that wants its type."""
    from quotastack.cli.webhook_client import trigger as trigger_event

    print(_run(trigger_event(url, api_key, type_=event)))


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def run() -> None:
    """The entry point of the command."""
    if not __debug__:
        sys.exit("QuotaStack does not run under python -O: its invariants are assertions.")
    app()


def _load(**overrides: Any) -> Settings:
    try:
        return load_settings(**overrides)
    except SettingsError as error:
        sys.exit(str(error))


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end; an expected failure is one message and exit code 1, not a stack trace."""
    try:
        return uvloop.run(work)
    except EXPECTED as error:
        sys.exit(str(error))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        sys.exit(f"The database cannot be used: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


async def _create_tenant(settings: Settings, name: str) -> dict[str, str]:
    async with (
        open_installation(settings) as installation,
        open_services(settings, installation.target, installation.secret) as services,
    ):
        made = await create_tenant(services, name=name)
    return {
        "tenant_id": made.tenant_id,
        "name": made.name,
        "test_key": made.test_key,
        "live_key": made.live_key,
    }


async def _migrate(settings: Settings, *, claim_roles: bool) -> list[str]:
    async with open_installation(settings, claim_roles=claim_roles) as installation:
        return installation.applied


if __name__ == "__main__":
    run()
