"""Prompt history: which beginnings of prompts were sent before, and which prompts were answered.

That is what a provider's cache of prompts could have held, told by what this process sent: by hashes, in
bounded memory, so what is found is a lower bound of what another process may know as well. The entries
are those that cache breakpoints make, one after the tools and system messages, one at the end; each is
kept anew by every call that begins with it.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from core.costs.facts import added
from core.costs.model_names import split_name
from core.costs.token_counts import TokenCounts

MOST_KNOWN = 10_000  # beginnings of prompts, of all tenants; with all else some 7 MB
MINUTES_MS, HOUR_MS = 5 * 60_000, 60 * 60_000  # for which providers keep a prompt
_STABLE = frozenset({"system", "developer"})
# What a provider caches has so many tokens at least.
# https://platform.claude.com/docs/en/build-with-claude/prompt-caching#cache-limitations
# https://ai.google.dev/gemini-api/docs/caching, https://platform.openai.com/docs/guides/prompt-caching
_LEAST = (
    ("claude-haiku-4-5", 4096),
    ("claude-opus-4-5", 4096),
    ("claude-opus-4-6", 4096),
    ("haiku", 2048),
    ("gemini-2.5-pro", 4096),
)
LEAST_TOKENS = 1024

K = TypeVar("K")
V = TypeVar("V")
Where = tuple[str, ...]  # tenant, crew, task, agent, model


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a call sends: its pieces, tools first, as (role, text)."""

    pieces: Sequence[tuple[str, str]]

    @property
    def stable(self) -> int:
        """How many pieces stand before what a task asks: tools and system messages."""
        roles = [role for role, _ in self.pieces]
        return next((at for at, role in enumerate(roles) if role not in _STABLE), len(roles))

    @property
    def older_rounds(self) -> range:
        """The pieces of an agent's rounds (its words, and what tools answered) before the last."""
        starts = [at for at, (role, _) in enumerate(self.pieces) if role == "assistant"]
        return range(starts[0], starts[-1]) if starts else range(0)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was known when a prompt was about to be sent; `sent` is for `PromptHistory.keep`."""

    sent: "Sent"
    stable: Fraction  # of the prompt's characters
    older_rounds: Fraction
    known: tuple[tuple[int, Fraction, bool], ...]  # cache time, share known within it, stable known
    is_repeat: bool

    def facts(self, model: str, tokens: TokenCounts, cost: int) -> dict[str, int]:
        """Return what the history says of the call, once its tokens are counted."""
        least, sent = least_tokens(model), tokens.input
        found = {"older_rounds": round(self.older_rounds * sent)}
        if self.is_repeat:
            found |= {"repeats": 1, "repeats_cost": cost}
        stable = round(self.stable * sent)
        if sent >= least:
            found["cacheable"] = sent
        if stable >= least:
            found["stable"] = stable
        for time_ms, share, has_stable in self.known:
            name, prefix = ("5m" if time_ms == MINUTES_MS else "1h"), round(share * sent)
            if prefix >= least:
                found |= {f"prefix_{name}": prefix, f"hits_{name}": 1}
            if has_stable and stable >= least:
                found[f"stable_{name}"] = stable
        return added(found)


@dataclass(frozen=True, slots=True)
class Sent:
    """A prompt by the hashes of its beginnings, each with its share of the characters."""

    beginnings: tuple[tuple[bytes, Fraction], ...]
    stable: int

    @property
    def entries(self) -> list[bytes]:
        """The beginnings that cache breakpoints keep."""
        ends = {self.stable, len(self.beginnings)} - {0}
        return [self.beginnings[end - 1][0] for end in sorted(ends)]


class PromptHistory:
    """What one process sent. Thread-safe."""

    def __init__(self, most: int = MOST_KNOWN) -> None:
        self._most, self._lock = most, threading.Lock()
        self._sent = OrderedDict[bytes, int]()  # beginning -> when it was sent last
        self._answered = OrderedDict[bytes, None]()
        self._written = OrderedDict[Where, tuple[int, int, int]]()  # when, tokens, for how long

    def look(self, where: Where, prompt: Prompt, now_ms: int) -> Looked:
        """Return what is known of a prompt that is about to be sent."""
        sent = _hashed(where, prompt)
        sizes = [len(text) for _, text in prompt.pieces]
        older = Fraction(sum(sizes[at] for at in prompt.older_rounds), sum(sizes) or 1)
        with self._lock:
            known = tuple(self._known(sent, now_ms, time) for time in (MINUTES_MS, HOUR_MS))
            is_repeat = bool(sent.beginnings) and sent.beginnings[-1][0] in self._answered
        stable = sent.beginnings[sent.stable - 1][1] if sent.stable else Fraction(0)
        return Looked(sent, stable, older, known, is_repeat)

    def keep(self, sent: Sent, now_ms: int, *, answered: bool) -> None:
        """Take note that a prompt was sent, and whether its answer is of use."""
        with self._lock:
            for beginning in sent.entries:
                _put(self._sent, beginning, now_ms, self._most)
            if answered and sent.beginnings:
                _put(self._answered, sent.beginnings[-1][0], None, self._most)

    def unread(self, where: Where, tokens: TokenCounts, now_ms: int) -> dict[str, int]:
        """Return what the calls before wrote to the cache for nothing, as far as is known by now."""
        found = dict[str, int]()
        with self._lock:
            if before := self._written.get(where):
                at, written, kept_ms = before
                in_time = now_ms - at <= kept_ms
                if not (tokens.cache_read and in_time) and (tokens.cache_write or not in_time):
                    found = {"unread_n": 1, "unread": written}
                if found or tokens.cache_read:
                    del self._written[where]
            if tokens.cache_write:
                kept_ms = HOUR_MS if tokens.cache_write_1h else MINUTES_MS
                _put(self._written, where, (now_ms, tokens.cache_write, kept_ms), self._most)
        return found

    def _known(self, sent: Sent, now_ms: int, time_ms: int) -> tuple[int, Fraction, bool]:
        ends = [end for end, (beginning, _) in enumerate(sent.beginnings, 1) if self._is_kept(beginning, now_ms, time_ms)]  # fmt: skip
        share = sent.beginnings[ends[-1] - 1][1] if ends else Fraction(0)
        return time_ms, share, sent.stable in ends

    def _is_kept(self, beginning: bytes, now_ms: int, time_ms: int) -> bool:
        at = self._sent.get(beginning)
        return at is not None and now_ms - at <= time_ms


def least_tokens(model: str) -> int:
    """Return how many tokens a prompt has at least that its provider caches."""
    name = split_name(model).model.replace(".", "-") if "claude" in model else model
    return next((least for part, least in _LEAST if part in name), LEAST_TOKENS)


def _hashed(where: Where, prompt: Prompt) -> Sent:
    running = hashlib.blake2b("\0".join(where).encode("utf-8", "surrogatepass"), digest_size=16)
    total, so_far = sum(len(text) for _, text in prompt.pieces) or 1, 0
    beginnings = list[tuple[bytes, Fraction]]()
    for role, text in prompt.pieces:
        running.update(f"\0{role}\0{len(text)}\0".encode("utf-8", "surrogatepass"))
        running.update(text.encode("utf-8", "surrogatepass"))
        so_far += len(text)
        beginnings.append((running.digest(), Fraction(so_far, total)))
    return Sent(tuple(beginnings), prompt.stable)


def _put(known: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > most:
        known.popitem(last=False)


def pieces(tools: str, messages: Iterable[tuple[str, str]]) -> Prompt:
    """Return a prompt of these tools (as text, empty for none) and messages (role and text)."""
    return Prompt([*([("system", tools)] if tools else []), *messages])
