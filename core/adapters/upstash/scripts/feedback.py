"""Scripts of what is said of tasks, until it is kept elsewhere."""

from typing import Any

from core.adapters.upstash.calls import Keys, Texts, script
from core.adapters.upstash.script_keys import FeedbackKeys, Key, Turn


@script()
def add_feedback(
    tasks: Key,
    listed: Key,
    learning: Key,
    learning_index: Key,
    of_logs: Keys,
    *,
    tenant: str,
    batch: list[dict[str, Any]],
    both: bool,
    texts: Texts,
) -> None: ...


@script("feedback")
def trim_feedback(of: FeedbackKeys, *, through: int) -> None: ...


@script("feedback")
def forget_feedback(
    of: FeedbackKeys, of_ids: Keys, *, subject: str | None, at_once: int
) -> None: ...


@script("feedback")
def unlist_feedback(of: FeedbackKeys) -> None: ...


@script("feedback")
def feedback_forgotten(of: FeedbackKeys, *, subjects: list[tuple[str, int]]) -> None: ...


@script("feedback")
def release_feedback(of: FeedbackKeys, *, until_ms: int) -> None: ...


@script("due")
def lease_feedback(turn: Turn, *, delay_ms: int) -> None: ...
