"""Metadata: the caller's own JSON object beside an object, and how a change is merged into it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from quotastack.core.errors import ValidationFailedError

METADATA_KEYS_MAX: Final = 50
METADATA_BYTES_MAX: Final = 16 * 1024

_encode = msgspec.json.encode


def merge_metadata(known: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """``known`` with the keys of ``patch``; a null deletes its key.

    Raises:
        ValidationFailedError: the result has more than 50 keys or 16 KiB.
    """
    merged = {key: value for key, value in {**known, **patch}.items() if value is not None}
    if len(merged) > METADATA_KEYS_MAX:
        raise ValidationFailedError.at("/metadata", f"Metadata has at most {METADATA_KEYS_MAX} keys.")
    if len(_encode(merged)) > METADATA_BYTES_MAX:
        raise ValidationFailedError.at("/metadata", f"Metadata has at most {METADATA_BYTES_MAX} bytes.")
    return merged
