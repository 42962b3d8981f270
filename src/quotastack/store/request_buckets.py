"""The request bucket of an environment: filled evenly, a minute's requests at most."""

from __future__ import annotations

from typing import Final

import msgspec

from quotastack.core.ids import EnvironmentId
from quotastack.runtime.database import Connection

# Takes up to $3 whole tokens; a changed limit starts with a full bucket. The row lock makes it exact across processes.
TAKE_TOKENS: Final = """
    INSERT INTO quotastack.request_buckets AS b (environment_id, requests_per_minute, tokens, filled_at, taken)
    VALUES ($1::uuid, $2::integer, $2::integer - least($3::integer, $2::integer), clock_timestamp(),
            least($3::integer, $2::integer))
    ON CONFLICT (environment_id) DO UPDATE
       SET (requests_per_minute, tokens, filled_at, taken) = (
           SELECT $2::integer, f.tokens - least($3::integer, floor(f.tokens)), f.at, least($3::integer, floor(f.tokens))
             FROM (SELECT CASE WHEN b.requests_per_minute <> $2::integer THEN $2::integer::double precision
                               ELSE least($2::integer, greatest(b.tokens, b.tokens
                                    + extract(epoch FROM clock_timestamp() - b.filled_at) * $2::integer / 60.0))
                          END AS tokens, clock_timestamp() AS at) AS f)
    RETURNING tokens, taken
"""


class TakenTokens(msgspec.Struct, frozen=True):
    """How many tokens were taken, and how many are left; a fraction is a token in the making."""

    taken: int
    left: float


async def take_tokens(
    tx: Connection, environment_id: EnvironmentId, *, requests_per_minute: int, wanted: int
) -> TakenTokens:
    """Take up to ``wanted`` tokens: fewer when the bucket holds fewer, 0 when it is empty."""
    row = await tx.fetchrow(TAKE_TOKENS, environment_id, requests_per_minute, wanted)
    assert row is not None
    return TakenTokens(taken=row["taken"], left=row["tokens"])
