"""The names of the keys. `{tenant}` is the hash tag of all keys of a tenant.

| key | type | holds |
|---|---|---|
| `tenants` | zset | tenant -> latest time (ms) at which it may have a live flow |
| `{t}:flow:f` | hash | the state of a flow; `step:` and `result:` fields per step, `calls` under way |
| `{t}:log:f` | stream | its events, the n-th with id `n-0` |
| `{t}:live:f` | channel | the same, as they come |
| `{t}:flows` | zset | flow -> its place in the order of creation (us, no two equal) |
| `{t}:due` | zset | every flow that is not terminal -> when to wake it (ms) |
| `{t}:outbox` | zset | flows with webhooks still to be sent -> when to look at them (ms) |
| `{t}:outbox:deliveries` | hash | flow -> how far its webhooks are delivered (outbox.py) |
| `{t}:spend:DAY` | hash | model, crew and task -> what that consumed on a day, as JSON; kept 400 days |
"""

TENANTS = "tenants"


def flow(tenant: str, flow: str) -> str:
    return f"{{{tenant}}}:flow:{flow}"


def log(tenant: str, flow: str) -> str:
    return f"{{{tenant}}}:log:{flow}"


def live(tenant: str, flow: str) -> str:
    return f"{{{tenant}}}:live:{flow}"


def flows(tenant: str) -> str:
    return f"{{{tenant}}}:flows"


def due(tenant: str) -> str:
    return f"{{{tenant}}}:due"


def outbox(tenant: str) -> str:
    return f"{{{tenant}}}:outbox"


def spend(tenant: str, day: str) -> str:
    """`day` is a date: `2026-11-25`."""
    return f"{{{tenant}}}:spend:{day}"
