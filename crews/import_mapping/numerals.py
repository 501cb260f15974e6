"""Numbers as people write them: 1,234.5 and 1.234,5 and 64,11438660967; $12.50, (12.50) and 12,5 %.

One cell may read both ways ("24,348"), a column seldom does, so a column counts both readings
and keeps the one that explains more cells. A tie goes to the decimal point.
"""

import re
from dataclasses import dataclass, field

NO_VALUES = frozenset({"-", "--", "—", "n/a", "#n/a", "na", "n.a.", "null", "none", "nil", "nan"})
SIGN_CHARS = 6  # before the first digit of an amount
_DIGITS = frozenset("0123456789")
NUMBER_CHARS = 60  # more are no number
_BLANK = " \u00a0\u2009\u202f"
_POINT = re.compile(
    rf"[+-]?(\d{{1,3}}([,'{_BLANK}]\d{{3}})+|\d{{1,2}}(,\d\d)+,\d{{3}}|\d+)?(\.\d+)?(e[+-]?\d+)?",
    re.IGNORECASE,
)
_COMMA = re.compile(
    rf"[+-]?(\d{{1,3}}([.'{_BLANK}]\d{{3}})+|\d+)?(,\d+)?(e[+-]?\d+)?", re.IGNORECASE
)
_GROUPING = str.maketrans("", "", "'" + _BLANK)
_SIGNS = str.maketrans({"\N{MINUS SIGN}": "-", "\N{RIGHT SINGLE QUOTATION MARK}": "'"})
# Signs and codes of ISO 4217 that stand before or after amounts; other capitals are codes of things.
_CURRENCY = (
    r"(?:(?:US|CA|AU|NZ|HK|A|C|R|S)?\$|[€£¥₹₽₩₺₴₪฿₫₦₱]|kr\.?|zł|Kč|Ft|lei|Rs\.?|Fr\.|"
    "EUR|USD|GBP|CHF|JPY|CNY|INR|AUD|CAD|NZD|SEK|NOK|DKK|ISK|PLN|CZK|HUF|RON|BGN|TRY|RUB|UAH|"
    "BRL|MXN|ARS|CLP|COP|ZAR|ILS|KRW|SGD|HKD|TWD|THB|IDR|MYR|PHP|VND|AED|SAR|EGP|NGN|KES)"
)
_AMOUNT = re.compile(
    rf"(?P<before>[+-]?)[{_BLANK}]*{_CURRENCY}?[{_BLANK}]*(?P<sign>[+-]?)(?P<digits>[\d.,].*?)"
    rf"[{_BLANK}]*(?:{_CURRENCY}|%)?[{_BLANK}]*(?P<after>-?)"
)


def bare(text: str) -> str:
    """Take currency, percent and brackets off an amount: (1,234.50 EUR) -> -1,234.50."""
    if len(text) > NUMBER_CHARS or (text.isascii() and text[:1].isdigit() and text[-1:].isdigit()):
        return text
    plain = text.translate(_SIGNS)
    is_negative = plain.startswith("(") and plain.endswith(")")
    found = _AMOUNT.fullmatch(plain[1:-1] if is_negative else plain)
    if not found:
        return plain
    signs = [sign for sign in (found["before"], found["sign"], found["after"]) if sign]
    if len(signs) + is_negative > 1:
        return plain
    return ("-" if is_negative or "-" in signs else "") + found["digits"]


def with_point(text: str) -> float | None:
    """1,234.5 -> 1234.5; None for what is no number written so."""
    return _number(text.replace(",", "")) if _POINT.fullmatch(text) else None


def with_comma(text: str) -> float | None:
    """1.234,5 -> 1234.5; None for what is no number written so."""
    return _number(text.replace(".", "").replace(",", ".")) if _COMMA.fullmatch(text) else None


def _number(text: str) -> float | None:
    try:
        return float(text.translate(_GROUPING))
    except ValueError:
        return None


@dataclass
class Reading:
    """What one way of reading numbers made of a column so far."""

    count: int = 0
    low: float = float("inf")
    high: float = float("-inf")
    integers: bool = True

    def add(self, number: float | None) -> None:
        if number is not None and abs(number) != float("inf"):
            self.count += 1
            self.low = min(self.low, number)
            self.high = max(self.high, number)
            self.integers = self.integers and number.is_integer()


@dataclass
class Numbers:
    """Both readings of a column, fed cell by cell; `absent` counts the cells that say "no value"."""

    point: Reading = field(default_factory=Reading)
    comma: Reading = field(default_factory=Reading)
    absent: int = 0

    def add(self, cell: str) -> None:
        if _DIGITS.isdisjoint(cell[:SIGN_CHARS]):  # most words are spared the trial
            self.absent += len(cell) <= SIGN_CHARS and cell.casefold() in NO_VALUES
            return
        text = bare(cell)
        self.point.add(with_point(text))
        self.comma.add(with_comma(text))

    @property
    def best(self) -> Reading:
        return self.comma if self.comma.count > self.point.count else self.point
