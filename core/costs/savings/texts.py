"""Numbers as the texts of recommendations tell them."""

_NANO = 10**9


def usd(nanodollars: float) -> str:
    """Return money as a text, `$0.0123`, as exact as it needs to be read."""
    dollars = nanodollars / _NANO
    return f"-{usd(-nanodollars)}" if dollars < 0 else f"${dollars:,.4f}"


def rate(nanodollars: float) -> str:
    """Return the price of a million tokens as a text: `$2.5/M`."""
    return f"${nanodollars / _NANO:,.6g}/M"


def count(number: float) -> str:
    return f"{round(number):,}"
