"""What may be the URL of an endpoint. Whether its host may be reached is decided at connect time, not here."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from quotastack.core.errors import ValidationFailedError

URL_LENGTH_MAX: Final = 2048


def check_url(url: str, *, pointer: str) -> str:
    """The URL as given.

    Raises:
        ValidationFailedError: not an absolute http or https URL of at most 2,048 printable characters, with a
            host that is a valid (international) name or address, without user, password and fragment.
    """
    fault = _find_fault(url)
    if fault is not None:
        raise ValidationFailedError.at(pointer, fault)
    return url


def _find_fault(url: str) -> str | None:
    if not 1 <= len(url) <= URL_LENGTH_MAX:
        return f"A URL has 1 to {URL_LENGTH_MAX} characters."
    if not url.isprintable() or any(character.isspace() or character == "\\" for character in url):
        return "A URL has no spaces, backslashes or control characters."
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "This is not a URL."
    if parts.scheme not in {"http", "https"}:
        return "The URL must begin with http:// or https://."
    if "@" in parts.netloc:
        return "A URL must not carry a user or a password."
    if parts.fragment or url.endswith("#"):
        return "A URL must not have a fragment."
    if not host or port == 0:
        return "The URL must name a host, and a port from 1 to 65535 if any."
    return None if ":" in host or _is_name(host) else "The host is not a valid name."


def _is_name(host: str) -> bool:
    try:
        name = host.rstrip(".").encode("idna").decode()
    except UnicodeError:
        return False
    labels = name.split(".")
    return len(name) <= 253 and all(
        label and not label.startswith("-") and not label.endswith("-") and set(label) <= _LABEL
        for label in labels
    )


_LABEL: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
