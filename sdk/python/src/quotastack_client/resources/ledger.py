"""``client.ledger``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from typing import Unpack

from quotastack_client import models
from quotastack_client.calls import CallOptions, opt
from quotastack_client.transport import AsyncResource, Resource


class Ledger(Resource):
    """``client.ledger``."""

    def verify(self, *, customer: str | None = None, **options: Unpack[CallOptions]) -> models.Verification:
        """Verify the ledger.

        Checks every invariant: hash chain, gapless sequences, sums, and that a replay of the ledger
        rebuilds every account, block and hold. Answers 409 with the first broken entries if one does
        not hold.
        """
        return self._send(
            "GET",
            "/v1/ledger/verify",
            models.Verification,
            query={"customer": opt(customer)},
            options=options,
        )


class AsyncLedger(AsyncResource):
    """``client.ledger``."""

    async def verify(
        self, *, customer: str | None = None, **options: Unpack[CallOptions]
    ) -> models.Verification:
        """Verify the ledger.

        Checks every invariant: hash chain, gapless sequences, sums, and that a replay of the ledger
        rebuilds every account, block and hold. Answers 409 with the first broken entries if one does
        not hold.
        """
        return await self._send(
            "GET",
            "/v1/ledger/verify",
            models.Verification,
            query={"customer": opt(customer)},
            options=options,
        )
