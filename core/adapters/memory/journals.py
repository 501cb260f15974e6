"""Journals in memory."""

from collections.abc import Collection, Mapping

from core.adapters.memory.flows import MemoryFlows
from core.crews.ledger import Claim, FencedError
from core.json_text import encodable


class MemoryJournals:
    """Keeps journals with the flows they belong to."""

    def __init__(self, flows: MemoryFlows) -> None:
        self._flows = flows

    async def entries(self, claim: Claim) -> dict[str, str]:
        return dict(self._flows.record(claim.tenant, claim.flow).journals.get(claim.step, {}))

    async def keep(self, claim: Claim, entries: Mapping[str, str]) -> None:
        record = self._flows.record(claim.tenant, claim.flow)
        if record.held(claim.step, claim.epoch).state != "running":
            raise FencedError
        kept = {encodable(key): encodable(entry) for key, entry in entries.items()}
        record.journals.setdefault(claim.step, {}).update(kept)

    async def forget(self, claim: Claim, keys: Collection[str]) -> None:
        record = self._flows.record(claim.tenant, claim.flow)
        for key in keys:
            record.journals.get(claim.step, {}).pop(key, None)
