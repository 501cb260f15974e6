"""The names of the keys. The hash tag of each is the *partition* of its tenant, `p` below.

A partition's keys lie in one slot of a cluster, so one script changes a flow, its tenant's due set
and the partition's index of due tenants: there is no moment at which one is changed without the
other. With one partition (the default) all is in one slot.

| key | type | holds |
|---|---|---|
| `{p}:due` | zset | tenant -> when to look into its due set (ms), never after the earliest time there |
| `{p}:t:due` | zset | every flow that has not ended -> when to look at it (ms) |
| | | and `~f` for one that has -> when to forget it: its keys have expired then |
| `{p}:t:flow:f` | hash | the state of a flow (`seq`: its last event); `step:`, `result:` and `brought:` fields per step (records.py) |
| `{p}:t:journal:f` | hash | `KEY STEP` -> what a step that is under way or put off has heard, as JSON (core/crews/journal.py) |
| `{p}:t:log:f` | stream | its events; an entry is a batch: id `<number of its last event>-0`, |
| | | type and JSON in turn |
| `{p}:t:live:f` | channel | the same, as they come |
| `{p}:t:flows` | zset | flow -> its place in the order of creation (us, no two equal) |
| `{p}:t:definitions` | hash | digest -> definition; all are kept until the tenant has no flow left |
| `{p}:outbox` | zset | tenant -> when to look into its outbox (ms), as `{p}:due` |
| `{p}:t:outbox` | zset | flows of which webhooks are to be sent -> when to do so (ms) |
| | | and `~budget|window|name|percent` for an alert of a budget |
| `{p}:t:outbox:deliveries` | hash | flow -> how far its log is delivered, as JSON: epoch, number, index, |
| | | failures, disabled, wait_ms, and leased_until (ms) while somebody has it |
| | | of an alert: also `alert`, its event |
| `partitions`, `bucket` | string | how many partitions, and which bucket, the store was begun with (store_check.py) |
| `{p}:t:spend:DAY` | hash | cell -> what it consumed on a day, as JSON; kept 400 days |
| | | a cell is `crew|task|agent|subject|model` (core/costs/rollup.py), `|` of the subject escaped |
| `{p}:t:spend:DAY:hours` | hash | `HH|` and cell -> what it consumed in an hour; kept as long |
| `{p}:t:calls:N` | hash | calls made elsewhere that came in the N-th 32 days since 1970: hash of the id -> digests of the call and its batch; kept 65 days |
| `{p}:t:budgets` | hash | budget -> its definition, as JSON; `~zone` -> the tenant's time zone |
| | | `~prices` -> how often its prices have changed |
| `{p}:t:prices` | hash | `DAY|model` -> what it costs the tenant from that day on, as JSON (empty |
| | | DAY: always); `~version` -> as `~prices` |
| `{p}:t:budgets:MONTH` | hash | `id|window|name` -> what a budget has spent and holds; kept 80 days |
| `{p}:t:models` | hash | `crew|task` -> the model that does it, and the trial that runs there, as JSON |
| `{p}:t:trials` | hash | trial -> what came of it so far, as JSON (lua/trials.lua) |
| `{p}:t:budgets:waiting` | set | flows that wait for money |
| `{p}:t:live:~money` | channel | says that a call gave back money that somebody waits for |
| `{p}:t:feedback` | hash | task -> number of its last feedback; `TASK~` -> that up to which it was forgotten; |
| | | `~bytes` -> bytes of all that waits |
| `{p}:t:tasks` | zset | task of which anything is kept -> whether some of it waits in Redis (lua/feedback.lua) |
| `{p}:t:feedback:TASK` | stream | feedback that is in no segment yet (feedback.py); id `<number>-0` |
| `{p}:t:feedback:TASK:ids:N:SUBJECT` | hash | hash of the id of a subject's feedback that came in the N-th 32 days -> digest |
| | | of what it said, and its number; kept 65 days |
| `{p}:t:feedback:TASK:forgotten` | zset | subjects that segments and models are to forget -> up to which number |
| `{p}:t:pointers` | zset | task -> highest sequence of a pointer to its model |
| `{p}:t:retrain` | zset | task -> since when it has something to learn (ms), or until when it is leased |
| `{p}:retrain` | zset | tenant -> when to look into the above: two levels, as what is due (due.py) |

What belongs to a flow that has not ended has no time to live; its hash and log get one when it ends.
"""

import zlib
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Keyspace:
    """Names keys. `partitions` is fixed with the first flow: another number is refused.

    `prefix` tells stores apart that share a server.
    """

    partitions: int = 1
    prefix: str = ""

    def partition_count(self) -> str:
        """Return the key of the number of partitions, which is in none of them."""
        return f"{self.prefix}partitions"

    def bucket(self) -> str:
        """Return the key of the bucket's name, likewise."""
        return f"{self.prefix}bucket"

    def all_tags(self) -> list[str]:
        """Return the hash tag of each partition."""
        return [f"{{{self.prefix}{number}}}" for number in range(self.partitions)]

    def tag(self, tenant: str) -> str:
        """Return the hash tag of a tenant's keys."""
        return _tag(self, tenant)

    def of(self, tenant: str, *names: str) -> str:
        """Return the key of something of a tenant; the methods below name what there is."""
        return ":".join((self.tag(tenant), tenant, *names))

    def flow(self, tenant: str, flow: str) -> str:
        return self.of(tenant, "flow", flow)

    def journal(self, tenant: str, flow: str) -> str:
        return self.of(tenant, "journal", flow)

    def log(self, tenant: str, flow: str) -> str:
        return self.of(tenant, "log", flow)

    def live(self, tenant: str, flow: str) -> str:
        return self.of(tenant, "live", flow)

    def flows(self, tenant: str) -> str:
        return self.of(tenant, "flows")

    def due(self, tenant: str) -> str:
        return self.of(tenant, "due")

    def definitions(self, tenant: str) -> str:
        return self.of(tenant, "definitions")

    def outbox(self, tenant: str) -> str:
        return self.of(tenant, "outbox")

    def deliveries(self, tenant: str) -> str:
        return self.of(tenant, "outbox", "deliveries")

    def spend(self, tenant: str, day: str, *, hours: bool = False) -> str:
        """`day` is a date: `2026-11-25`."""
        return self.of(tenant, "spend", day, *(["hours"] if hours else []))

    def budgets(self, tenant: str, month: str | None = None) -> str:
        """Return where a tenant's budgets are, or what they have spent in a month (`2026-11`)."""
        return self.of(tenant, "budgets", *([month] if month else []))

    def budget_waits(self, tenant: str) -> str:
        return self.of(tenant, "budgets", "waiting")

    def prices(self, tenant: str) -> str:
        return self.of(tenant, "prices")

    def settles(self, tenant: str) -> str:
        return self.live(tenant, "~money")

    def due_index(self, tag: str) -> str:
        """Return the index of due tenants of a partition."""
        return f"{tag}:due"

    def outbox_index(self, tag: str) -> str:
        """Return the index of tenants with webhooks to send of a partition."""
        return f"{tag}:outbox"

    def learning_tasks(self, tenant: str) -> str:
        return self.of(tenant, "tasks")

    def feedback(self, tenant: str, task: str) -> str:
        return self.of(tenant, "feedback", task)

    def pointers(self, tenant: str) -> str:
        return self.of(tenant, "pointers")

    def learning(self, tenant: str) -> str:
        """Return the due set of a tenant's tasks that have something to learn."""
        return self.of(tenant, "retrain")

    def learning_index(self, tag: str) -> str:
        """Return the index of tenants of a partition that have something to learn."""
        return f"{tag}:retrain"


@lru_cache(maxsize=1024)
def _tag(keys: Keyspace, tenant: str) -> str:
    return f"{{{keys.prefix}{zlib.crc32(tenant.encode()) % keys.partitions}}}"
