"""What a store was begun with, which the first worker or sweep records in it: the number of partitions, and the bucket.

Another number finds some tenants' flows in no partition, and others' keys in two slots: flows would be lost without a
word, or every look for work would fail. Another bucket is another deployment's: its worker would run these flows
without their files, and fail them (docs/adr/0036).
"""

from core.adapters.upstash.commands import Commands, at_leader
from core.adapters.upstash.keys import Keyspace
from core.config import SettingsError


class StoreCheck:
    """Compares the settings with the store, once per process."""

    def __init__(self, redis: Commands, keys: Keyspace, bucket: str) -> None:
        self._redis, self._keys, self._bucket = redis, keys, bucket
        self._fits = False

    async def require(self) -> None:
        """Raise SettingsError if the store was begun with other settings; UnavailableError."""
        if not self._fits and not await self._is_recorded():
            mine = str(self._keys.partitions)
            partitions = await self._recorded(self._keys.partition_count(), mine)
            if partitions != mine:
                raise SettingsError(
                    f"CREWLINE_PARTITIONS is {mine}, but this store was begun with {partitions}, and its "
                    f"flows are found with that number alone: set it to {partitions}, or use another store"
                )
            bucket = await self._recorded(self._keys.bucket(), self._bucket)
            if bucket != self._bucket:
                raise SettingsError(
                    f"CREWLINE_BUCKET is {self._bucket}, but this store was begun with the bucket {bucket}: two deployments "
                    "on one store run each other's flows without their files. Use a store of its own; or, if all that was in "
                    f"that bucket is in this one now, delete the store's key {self._keys.bucket()}"
                )
        self._fits = True

    async def trouble(self) -> str:
        """Return why the store cannot be used for these flows; "" if it can. One command, which changes nothing."""
        bucket = await self._redis.execute(["GET", self._keys.bucket()])
        return "" if bucket in {None, self._bucket} else "the store is another deployment's"

    async def _is_recorded(self) -> bool:
        """Tell whether both are recorded as they are here; a read that is behind may not know it yet."""
        keys = self._keys.partition_count(), self._keys.bucket()
        recorded = await self._redis.pipeline([["GET", key] for key in keys])
        return recorded == [str(self._keys.partitions), self._bucket]

    async def _recorded(self, key: str, mine: str) -> str:
        """Return what is recorded, which it is now if it was not."""
        if await self._redis.execute(["SET", key, mine, "NX"]) is not None:
            return mine
        return await self._redis.execute(at_leader(["GET", key]))
