"""Settings: everything an operator can change, by environment variables with the prefix ``QUOTASTACK_``.

A variable with the prefix that is no setting is an error: a misspelt setting must not be a silent default.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX: Final = "QUOTASTACK_"

# First attempt at once, then these waits before each of the seven retries.
WEBHOOK_RETRY_WAITS: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)

MEBIBYTE: Final = 1024 * 1024


# What clients and examples read; a server started in the same shell is not meant by them.
CLIENT_VARIABLES: Final = frozenset({"QUOTASTACK_API_KEY", "QUOTASTACK_BASE_URL"})


class SettingsError(Exception):
    """A setting is unknown or not valid; the message names it and says what would be."""


class Settings(BaseSettings):
    """The settings of a process, read once at its start and then handed around."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True
    )

    database_url: SecretStr | None = Field(
        None, description="PostgreSQL 15 to 18 of your own: the address of a role that may create roles."
    )
    data: Path = Field(Path(".quotastack"), description="Directory of the embedded database and the secret.")
    postgres_bin: Path | None = Field(None, description="Directory with the programs postgres and initdb.")
    secret_key: SecretStr | None = Field(
        None, description="The installation's secret; generated and kept with the data by default."
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65_535, description="Port to listen on; 0 picks a free one.")
    workers: int = Field(1, ge=1, le=64, description="Server processes that share the port.")
    origin: str | None = Field(None, description="Base URL under which callers reach the server.")
    shutdown_seconds: int = Field(10, ge=1, le=300, description="How long requests may finish at shutdown.")

    batch_scope: Literal["any", "customer"] = Field(
        "any", description="What one transaction may span; 'customer' for a distributed PostgreSQL."
    )
    lanes: int = Field(1, ge=1, le=64, description="Transactions that a process writes at once.")
    batch_max: int = Field(64, ge=1, le=10_000, description="Commands that one transaction may hold.")
    queue_max: int = Field(10_000, ge=1, le=1_000_000, description="Waiting commands before 503.")
    cache_bytes: int = Field(256 * MEBIBYTE, ge=0, description="Memory for cached customer states.")

    huge_pages: bool = Field(
        True,
        description="Keep a server's memory in pages of 2 MiB where Linux lets it (faster, a little more of it).",
    )

    events_retention_days: int = Field(90, ge=1, le=3_650, description="How long events are kept.")
    deliveries_retention_days: int = Field(30, ge=1, le=3_650, description="How long deliveries are kept.")
    idempotency_retention_days: int = Field(
        30, ge=30, le=3_650, description="How long answers of writes without money are kept; money keys stay."
    )

    webhook_retry_waits: Annotated[tuple[float, ...], NoDecode] = Field(
        WEBHOOK_RETRY_WAITS, description="Seconds before each retry of a delivery, separated by commas."
    )
    webhook_allow_private: bool = Field(
        False, description="Deliver to private and loopback addresses too (development)."
    )
    webhook_timeout_seconds: int = Field(5, ge=1, le=30, description="How long a receiver may take.")

    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="'auto': console on a terminal, else JSON."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")

    @field_validator("webhook_retry_waits", mode="before")
    @classmethod
    def _split_waits(cls, value: Any) -> Any:
        return [part.strip() for part in value.strip("[] ").split(",")] if isinstance(value, str) else value

    @field_validator("webhook_retry_waits")
    @classmethod
    def _bound_waits(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not 1 <= len(value) <= 20 or not all(0 <= wait <= 604_800 for wait in value):
            raise ValueError("give 1 to 20 waits of 0 to 604800 seconds")
        return value

    @field_validator("data", "postgres_bin")
    @classmethod
    def _make_absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else Path(os.path.abspath(value.expanduser()))  # noqa: PTH100 - keeps links


def load_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read the settings; ``overrides`` come from the command line and win, None means not given.

    Raises:
        SettingsError: an unknown variable with our prefix (the nearest setting is suggested), or a value
            that is not valid; all faults are in one message.
    """
    variables = os.environ if environ is None else environ
    faults = [_describe_unknown(name) for name in sorted(variables) if _is_unknown(name)]
    given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    if environ is not None:
        given = {
            **{
                name.removeprefix(PREFIX).lower(): value
                for name, value in environ.items()
                if name.removeprefix(PREFIX).lower() in Settings.model_fields
                and name.startswith(PREFIX)
                and value
            },
            **given,
        }
    try:
        settings = Settings(**given)
    except ValidationError as error:
        faults += [
            f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg']}"
            for fault in error.errors(include_url=False)
        ]
        raise SettingsError("\n".join(faults)) from None
    if faults:
        raise SettingsError("\n".join(faults))
    return settings


def describe_settings() -> str:
    """One line per setting, for ``--help``."""
    lines: list[str] = []
    for name, field in Settings.model_fields.items():
        shown = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
        default = "" if shown is None else f" (default {shown})"
        lines.append(f"{PREFIX}{name.upper()}  {field.description}{default}")
    return "\n".join(lines)


def _is_unknown(variable: str) -> bool:
    is_ours = variable.startswith(PREFIX) and variable not in CLIENT_VARIABLES
    return is_ours and variable.removeprefix(PREFIX).lower() not in Settings.model_fields


def _describe_unknown(variable: str) -> str:
    names = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    nearest = difflib.get_close_matches(variable, names, n=1, cutoff=0.0)[0]
    return f"{variable} is not a setting. Did you mean {nearest}?"
