"""How many Redis commands a flow takes, as Upstash bills them.

Every command inside a script counts, and the script's own EVALSHA too. They are seen by MONITOR, which
tells them in order, so each is known to belong to a script; `commandstats` must agree on the sum.
"""

import asyncio
import contextlib
import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field

from benchmarks import parts
from benchmarks.crew_parts import CREW, Office, a_model, office
from benchmarks.listeners import Listener
from benchmarks.parts import Parts
from benchmarks.report import Figure
from core.adapters.upstash import calls
from infra.local.gateway.scripts import without_key_locking

LINE = re.compile(rb'data: [\d.]+ \[\d+ (\S+)\] "(\w+)"(.*)')
EVENT = re.compile(rb'"(\w+)" "\{\\"type\\":\\"\w+\\"(?:,\\"name\\":\\"(\w+))?')
MONEY = {"reserve", "settle"}
# The price of a call is told with the last piece of its answer.
TEXT = {b"TEXT_MESSAGE_START", b"TEXT_MESSAGE_CONTENT", b"TEXT_MESSAGE_END", b"model_call"}
APART, IN_STEPS = ("money", "text"), ("claim", "emit", "commit")
CALL_SECONDS, PIECES = 1.5, 6  # a model that streams, as most do
NOT_BILLED = {"INFO", "MONITOR", "CLIENT"}  # the benchmark's own


@dataclass
class Sent:
    """One command that a client sent, with those that it ran inside if it was a script."""

    name: str
    commands: Counter[str] = field(default_factory=Counter[str])
    events: set[bytes] = field(default_factory=set[bytes])

    @property
    def kind(self) -> str:
        """What it was for: `money`, `text` where it brought nothing else, or its own name."""
        if self.name in MONEY:
            return "money"
        return "text" if self.name == "emit" and self.events and self.events <= TEXT else self.name


class Monitor(Listener):
    """Hears every command that the server runs."""

    def __init__(self, request: bytes) -> None:
        super().__init__(request)
        self.sent: list[Sent] = []
        self._names = _script_names()

    def hear(self, line: bytes, now: float) -> None:
        """Take a line."""
        del now
        if line.startswith(b'data: "OK"') or line == b"data: OK":
            self.is_open()
        elif found := LINE.match(line):
            self._ran(found[1] == b"lua", found[2].decode().upper(), found[3])

    def _ran(self, inside: bool, command: str, rest: bytes) -> None:
        if not inside:
            words = rest.decode("latin-1").split('"')
            known = self._names.get(words[1]) if command == "EVALSHA" else None
            self.sent.append(Sent(known or command.lower()))
        self.sent[-1].commands[command] += 1
        if command == "XADD":
            self.sent[-1].events |= {name or kind for kind, name in EVENT.findall(rest)}


async def commands(running: Parts, steps: int = len(CREW.tasks)) -> list[Figure]:
    """Count what a flow of the crew takes, launch, wake-up and end included."""
    redis, ours = running.redis(), office(running, a_model(CALL_SECONDS, PIECES))
    await a_flow(ours)  # now the server has the scripts
    monitor = await Monitor(_request(running)).connected(running.gateway_port)
    before = await parts.commands_so_far(redis)
    await a_flow(ours)
    ran = await parts.commands_so_far(redis) - before
    await _heard(monitor, ran.total())
    monitor.close()
    _agree(_billed(monitor.sent), ran)
    return _figures(monitor.sent, steps)


async def _heard(monitor: Monitor, count: int) -> None:
    """Wait until so many commands were told, for a second at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            while _billed(monitor.sent).total() < count:  # noqa: ASYNC110 -- a look now and then
                await asyncio.sleep(0.01)


async def a_flow(ours: Office) -> None:
    """Launch a flow, find it in the due set, run it."""
    flow = await ours.launch(CREW)
    for _, found in (await ours.ledger.lease(1, 1, 1000)).items:
        await ours.run(found)
    await ours.ended(flow)


def _figures(sent: list[Sent], steps: int) -> list[Figure]:
    """Divide by the steps what is neither money nor text; the benchmark's own look is left out.

    The first figure is what a step costs, the second the whole flow, with its launch and its end.
    """
    by_kind, by_command = Counter[str](), Counter[str]()
    for each in _all_but_the_last_look(sent):
        by_kind[each.kind] += each.commands.total()
        by_command += each.commands if each.kind not in APART else Counter[str]()
    apart = {kind: by_kind.pop(kind, 0) / steps for kind in APART}
    in_steps = sum(by_kind[kind] for kind in IN_STEPS)
    by_script = Counter({kind: count for kind, count in by_kind.items() if kind in IN_STEPS})
    step = f"by script, {steps} steps: {_told(by_script)}; a call's money {apart['money']:.1f}, text {apart['text']:.1f}"
    flow = f"{by_kind.total() - in_steps} once; by script: {_told(by_kind)}; by command: {_told(by_command)}"
    return [
        Figure("redis_commands_per_step", round(in_steps / steps, 2), "<= 14", step),
        Figure(
            "redis_commands_per_step_of_a_flow", round(by_kind.total() / steps, 2), "<= 24", flow
        ),
        Figure(
            "redis_commands_per_call_of_text",
            round(apart["text"], 2),
            "<= 20",
            f"an answer of {PIECES} pieces in {CALL_SECONDS:g} s",
        ),
    ]


def _all_but_the_last_look(sent: list[Sent]) -> list[Sent]:
    ours = [each for each in sent if each.name.upper() not in NOT_BILLED]
    last = max(at for at, each in enumerate(ours) if each.name == "hgetall")
    return [each for at, each in enumerate(ours) if at != last]


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def _billed(sent: list[Sent]) -> Counter[str]:
    ran = sum((each.commands for each in sent), Counter[str]())
    return Counter({name.lower(): n for name, n in ran.items() if name not in NOT_BILLED})


def _agree(heard: Counter[str], ran: Counter[str]) -> None:
    if heard != Counter({name.partition("|")[0]: count for name, count in ran.items()}):
        raise RuntimeError(f"MONITOR told {dict(heard)}, commandstats {dict(ran)}")


def _script_names() -> dict[str, str]:
    """Return the scripts' names by the SHA-1 under which the gateway's server knows them."""
    return {
        hashlib.sha1(
            without_key_locking(calls.text(calls.FOLDER, script.parts).encode()),
            usedforsecurity=False,
        ).hexdigest(): name
        for name, script in calls.SCRIPTS.items()
    }


def _request(running: Parts) -> bytes:
    token = f"Authorization: Bearer {running.settings.redis_token}\r\n"
    return f"GET /monitor HTTP/1.1\r\nHost: gateway\r\n{token}\r\n".encode()
