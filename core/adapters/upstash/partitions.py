"""The number of partitions, which the first worker or sweep of a store records in it.

Another number finds some tenants' flows in no partition, and others' keys in two slots: flows would
be lost without a word, or every look for work would fail.
"""

from core.adapters.upstash.commands import Commands, at_leader
from core.adapters.upstash.keys import Keyspace
from core.config import SettingsError


class PartitionCheck:
    """Compares the setting with the store, once per process."""

    def __init__(self, redis: Commands, keys: Keyspace) -> None:
        self._redis, self._keys = redis, keys
        self._fits = False

    async def require(self) -> None:
        """Raise SettingsError if the store was begun with another number; UnavailableError."""
        if self._fits:
            return
        key, mine = self._keys.partition_count(), str(self._keys.partitions)
        recorded = mine
        if await self._redis.execute(["SET", key, mine, "NX"]) is None:
            recorded = await self._redis.execute(at_leader(["GET", key]))
        if recorded != mine:
            raise SettingsError(
                f"CREWLINE_PARTITIONS is {mine}, but this store was begun with {recorded}, and its "
                f"flows are found with that number alone: set it to {recorded}, or use another store"
            )
        self._fits = True
