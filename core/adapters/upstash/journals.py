"""Journals over Redis: a hash for each flow, whose fields are `KEY STEP`."""

from collections.abc import Collection, Mapping

from core.adapters.upstash.calls import ScriptRunner
from core.adapters.upstash.commands import Commands, at_leader
from core.adapters.upstash.flow_scripts import FlowScripts
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.records import as_dict
from core.adapters.upstash.scripts import flows as scripts
from core.crews.ledger import Claim


class UpstashJournals:
    """Keeps journals beside their flows."""

    def __init__(
        self,
        redis: Commands,
        keys: Keyspace | None = None,
        runner: ScriptRunner | None = None,
    ) -> None:
        self._redis, self._keys = redis, keys or Keyspace()
        self._scripts = FlowScripts(runner or ScriptRunner(redis), self._keys)

    async def entries(self, claim: Claim) -> dict[str, str]:
        """Read the flow's hash; it has the steps that are under way or put off."""
        journal = self._keys.journal(claim.tenant, claim.flow)
        fields = as_dict(await self._redis.execute(at_leader(["HGETALL", journal])))
        of_step = f" {claim.step}"
        return {
            field.removesuffix(of_step): entry
            for field, entry in fields.items()
            if field.endswith(of_step)
        }

    async def keep(self, claim: Claim, entries: Mapping[str, str]) -> None:
        """Keep entries."""
        texts = list[str]()
        for key, entry in entries.items():
            texts += [f"{key} {claim.step}", entry]
        call = scripts.keep_entries(
            self._keys.flow(claim.tenant, claim.flow),
            self._keys.journal(claim.tenant, claim.flow),
            step=claim.step,
            epoch=claim.epoch,
            texts=texts,
        )
        await self._scripts.run(call, claim.flow, "what the step has heard")

    async def forget(self, claim: Claim, keys: Collection[str]) -> None:
        """Remove entries."""
        journal = self._keys.journal(claim.tenant, claim.flow)
        await self._redis.execute(["HDEL", journal, *(f"{key} {claim.step}" for key in keys)])
