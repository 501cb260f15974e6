"""Prompts as the offline model reads them, and its last resort: quoting what it was told."""

import re

from core.adapters.crewai.asked import LESSONS, REFUSED

MODEL = "crewline/offline"
CONTEXT_MARK = "This is the context you're working with:"  # CrewAI's words, as is CLOSING
CLOSING = "Provide your complete response:"
DIVIDER = "\n\n----------\n\n"  # between the parts of a context
SIGNATURE = f"The offline model ({MODEL}) quotes, it does not write: "
_QUOTED_SENTENCES = 3
_LITTLE_WORD = 3  # up to this length words say little: of, the, and
_CRITERIA = "\n\nThis is the expected criteria"
_HEADING = re.compile(r"\n[A-Z][\w ]*:\n")
_GOAL = re.compile(r"^Your personal goal is: (.*)$", re.MULTILINE)
# Lines that say whose a part of the context is; they are nobody's sentence.
_LABEL = re.compile(
    r"^(Proposal \d+:|Said for proposal \d+:.*|Subtask \d+, for .*|Your (draft|answer):"
    r"|Earlier feedback, done already:.*|-{10})$",
    re.MULTILINE,
)


def split(prompt: str) -> tuple[str, list[str]]:
    """Return the task's text and the parts of the context."""
    task, _, context = prompt.partition(CONTEXT_MARK)
    context = context.strip().removesuffix(CLOSING).strip()
    return task, context.split(DIVIDER) if context else []


def joined(task: str, context: list[str]) -> str:
    """Return a prompt with other parts of the context."""
    told = f"{CONTEXT_MARK}\n{DIVIDER.join(context)}\n\n" if context else ""
    return f"{task}{told}{CLOSING}"


def without_refusal(prompt: str) -> str:
    """Return a prompt without what was wrong with the answer before, and that answer.

    It is the last part of the context. To quote it would please a guardrail that looks for the words
    which it asks for, with an answer that is no better.
    """
    task, context_mark, context = prompt.partition(CONTEXT_MARK)
    for before in (DIVIDER, "\n"):
        kept, found, _ = f"\n{context.lstrip()}".rpartition(f"{before}{REFUSED}")
        if found:
            told = kept.strip()
            return f"{task}{context_mark}\n{told}\n\n{CLOSING}" if told else f"{task}{CLOSING}"
    return prompt


def goal(system: str) -> str:
    """Return the goal of the agent that the model speaks for."""
    found = _GOAL.search(system)
    return found[1] if found else ""


def words(text: str) -> set[str]:
    """Return the words that say something."""
    return {word for word in re.findall(r"\w+", text.casefold()) if len(word) > _LITTLE_WORD}


def quote(prompt: str, wish: str = "") -> str:
    """Answer with the sentences of the context that share most words with the task and the wish.

    A task that is told nothing may hold its material itself, under a heading on a line of its own.
    """
    task, _, context = prompt.removesuffix(CLOSING).partition(CONTEXT_MARK)
    context = _without_lessons(context)
    if not context and (heading := _HEADING.search(task)):
        context = task[heading.end() :].partition(_CRITERIA)[0]
        task = task[: heading.start()]
    wanted = words(task) | words(wish)
    sentences = _sentences(context)
    shared = {sentence: len(wanted & words(sentence)) for sentence in sentences}
    nearest = sorted(filter(shared.get, sentences), key=lambda sentence: -shared[sentence])
    quoted = [sentence for sentence in sentences if sentence in nearest[:_QUOTED_SENTENCES]]
    found = " ".join(quoted) or "nothing in the context answers this."
    return f"{SIGNATURE}{found}"


def _without_lessons(context: str) -> str:
    """Return a context without what was learnt of other flows: it is nobody's answer."""
    parts = context.split(DIVIDER)
    return DIVIDER.join(part for part in parts if not part.lstrip().startswith(LESSONS))


def _sentences(context: str) -> list[str]:
    said = _LABEL.sub("", context.replace(SIGNATURE, ""))
    parts = (part.strip() for part in re.split(r"(?<=[.!?])\s+|\n+", said))
    return list(dict.fromkeys(filter(None, parts)))  # several tasks may have quoted one
