"""The error of commands that talk to a server by HTTP; apart, so that other commands need not load the client."""

from __future__ import annotations


class ClientError(Exception):
    """The server refused or cannot be reached; the message is for the terminal."""
