"""The text of an answer: what a model says to its user, without its thoughts.

Reasoning models whose server has no parser for them think aloud between `<think>` and `</think>`
before they answer, and some again in between. An answer that does not begin with a thought is left
as it is: these words in it are a quotation.
"""

from typing import Any, cast

_OPEN, _CLOSE = "<think>", "</think>"
_TEXT, _THOUGHT = frozenset({"text", "output_text"}), frozenset({"thinking", "reasoning"})


class ThoughtFilter:
    """Takes the thoughts off an answer that comes in pieces, however it is cut into them."""

    def __init__(self) -> None:
        self._held = ""  # what may be the beginning of a mark, or blanks before the first
        self._thinks: bool | None = None  # whether the answer begins with a thought, once known
        self._thought: list[str] | None = None  # that is being thought
        self._spoke = False

    def feed(self, piece: str) -> str:
        """Return what can be shown of the answer now."""
        text, self._held = self._held + piece, ""
        if self._thinks is None:
            start = text.lstrip()[: len(_OPEN)]
            if start != _OPEN and _OPEN.startswith(start):
                self._held = text
                return ""
            self._thinks = start == _OPEN
        return self._without_thoughts(text) if self._thinks else text

    def end(self) -> str:
        """Return the rest. A thought that never ends is no answer; within an answer it is a quotation."""
        held, self._held = self._held, ""
        if self._thought is None:
            return held
        return "".join([_OPEN, *self._thought, held]) if self._spoke else ""

    def _without_thoughts(self, text: str) -> str:
        said, found = "", True
        while found:
            mark = _OPEN if self._thought is None else _CLOSE
            before, found, text = text.partition(mark)
            if not found:
                whole = len(before) - _overlap(before, mark)
                before, self._held = before[:whole], before[whole:]
            if self._thought is not None:
                self._thought.append(before)
            else:
                said += before if self._spoke else before.lstrip()
                self._spoke = self._spoke or bool(said)
            if found:
                self._thought = [] if self._thought is None else None
        return said


def without_thoughts(text: str) -> str:
    """Return an answer without its thoughts."""
    thoughts = ThoughtFilter()
    return thoughts.feed(text) + thoughts.end()


def spoken(response: Any) -> Any:
    """Return the text of a response that is a text, whole or as a list of parts; else the response."""
    if isinstance(response, str):
        return without_thoughts(response)
    text = _joined(cast("list[Any]", response)) if isinstance(response, list) else None
    return cast("Any", response) if text is None else without_thoughts(text)


def _joined(parts: list[Any]) -> str | None:
    """Return the text of content in parts, as OpenAI's and Mistral's protocols have it.

    None if it is not all text and thoughts; calls of tools, say.
    """
    known = [cast("dict[str, Any]", part) for part in parts if isinstance(part, dict)]
    kinds = {str(part.get("type")) for part in known}
    if not parts or len(known) < len(parts) or not kinds <= _TEXT | _THOUGHT:
        return None
    texts = [part.get("text") for part in known if part["type"] in _TEXT]
    return "".join(map(str, texts)) if all(isinstance(text, str) for text in texts) else None


def _overlap(text: str, mark: str) -> int:
    """Return how many characters at the end of the text are a beginning of the mark."""
    most = min(len(text), len(mark) - 1)
    return next((n for n in range(most, 0, -1) if text.endswith(mark[:n])), 0)
