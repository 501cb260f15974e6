"""A tool for any agent: telling the user, while the crew still works, what was found on the way."""

from typing import Protocol


class Audience(Protocol):
    """What this tool needs of its context."""

    def tell(self, insight: str) -> None: ...


def share_insight(context: Audience, text: str) -> str:
    """Tell the user at once something worth knowing before the work is done.

    Takes one or two plain sentences: a surprise, a contradiction, a risk. Not for results, and not
    for saying what is done next. The user cannot answer.
    """
    context.tell(text)
    return "The user was told."
