"""Price lists as plain data: USD for a million tokens, by model; what a tenant agreed on, too.

An entry of a list::

    {"input": "2.50", "output": 10, "cache_read": "1.25", "cache_write_5m": .., "cache_write_1h": ..,
     "reasoning": .., "per_call": .., "tiers": [{"above": 200000, "input": "5"}],
     "batch": {"input": "1.25", "output": 5}, "flex": {..}, "priority": {..}, "fast": {..}}

or `{"same_as": "azure/gpt-4o"}` for a name of one's own, such as a deployment's. `input` is needed.
What is left out costs as much as what it is part of: cached input as `input`, an hour in the cache as
five minutes, reasoning as `output`; in a tier as in the tier below, in a variant as without it. A tenant's
entry without a variant has it in the ratio of the price lists (`core.costs.tenant_prices`).
"""

from collections.abc import Collection, Mapping
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any, Literal, cast, get_args

from core.complaints import choice
from core.costs.model_names import LONGEST_NAME, split_name
from core.costs.rates import KINDS, MOST_RATE, Rates, TierRates, rising
from core.errors import InvalidInputError

Variant = Literal["standard", "batch", "flex", "priority", "fast"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
# Ways to make the same call of the same model for less, of which the answer comes later.
CHEAPER: tuple[Variant, ...] = ("batch", "flex")

_NANODOLLARS = Decimal(1_000_000_000)
_MOST_DIGITS = 30  # of a price as text
_PARTS = (*KINDS, "per_call", "tiers")
_MOST_ABOVE = 10**9


def entry_rates(
    entry: Mapping[str, Any], source: str, variant: Variant = "standard"
) -> Rates | None:
    """Return the rates of an entry in a variant, None if it has no price for that.

    Raises ValueError for what is no entry; the message begins with the field.
    """
    if variant == "standard":
        return _rates(entry, source)
    special = entry.get(variant)
    if special is None:
        return None
    return _rates(dict(entry) | _object(special, variant), source)


def check_price(name: str, entry: Any) -> tuple[str, dict[str, Any]]:
    """Return the canonical name of a model and its entry. Raises InvalidInputError with pointers.

    `from` is the caller's to read: from which day on the entry holds.
    """
    if not 0 < len(name) <= LONGEST_NAME or not str(split_name(name)):
        rule = f"a model's name has 1 to {LONGEST_NAME} characters"
        raise InvalidInputError("this is no model", {"/model": rule})
    try:
        _check_entry(_object(entry, "the entry"))
    except ValueError as error:
        raise InvalidInputError("this price cannot be taken", _pointer(str(error))) from error
    return str(split_name(name)), entry


def _pointer(problem: str) -> dict[str, str]:
    """Return a problem by the field that it begins with, if that is one."""
    name, _, rest = problem.partition(": ")
    is_field = rest and " " not in name
    return {f"/{_escaped(name)}": rest} if is_field else {"": problem}


def _check_entry(entry: dict[str, Any]) -> None:
    if "same_as" in entry:
        other = entry["same_as"]
        if len(entry) > 1 or not isinstance(other, str) or not 0 < len(other) <= LONGEST_NAME:
            raise ValueError("same_as stands alone, and is the name of a model")
        return
    _refuse_unknown(entry, (*_PARTS, *VARIANTS[1:], "same_as", "from"))
    for variant in VARIANTS:
        _refuse_unknown(_object(entry.get(variant, {}), variant), _PARTS, f"{variant}: ")
        entry_rates(entry, "", variant)


def _refuse_unknown(given: Mapping[str, Any], there: Collection[str], where: str = "") -> None:
    if unknown := given.keys() - set(there):
        name = min(unknown)[:40]
        raise ValueError(f"{where}{name}: is unknown; {choice(name, there)}")


def _rates(entry: Mapping[str, Any], source: str) -> Rates:
    tiers = entry.get("tiers", [])
    if not isinstance(tiers, list):
        raise ValueError("tiers: a list")  # noqa: TRY004 -- bad data, not a bad program
    prices = {name: entry[name] for name in KINDS if name in entry}
    rates = [_tier_rates(prices, 0)]
    for tier in cast("list[Any]", tiers):
        prices |= _object(tier, "tiers")
        rates.append(_tier_rates(prices, _start(prices.pop("above", None))))
    per_call = _nanodollars(entry.get("per_call", 0), "per_call")
    return Rates(source, rising(tuple(rates)), per_call)


def _tier_rates(prices: Mapping[str, Any], above: int) -> TierRates:
    _refuse_unknown(prices, KINDS, "tiers: ")
    rates = {name: _nanodollars(value, name) for name, value in prices.items()}
    if "input" not in rates:
        raise ValueError("input: needed")
    short = rates.get("cache_write_5m", rates["input"])
    output = rates.get("output")
    return TierRates(
        input=rates["input"],
        cache_read=rates.get("cache_read", rates["input"]),
        cache_write_5m=short,
        cache_write_1h=rates.get("cache_write_1h", short),
        output=output,
        reasoning=rates.get("reasoning", output),
        above=above,
    )


def _start(above: Any) -> int:
    if type(above) is not int or not 0 < above <= _MOST_ABOVE:
        raise ValueError("above: a number of tokens")
    return above


def _nanodollars(value: Any, name: str) -> int:
    """Return USD as nano-dollars, rounded up."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError(f"{name}: a price in USD, as a number or a text")  # noqa: TRY004 -- data
    text = str(value)
    try:
        usd = Decimal(text) if len(text) <= _MOST_DIGITS else Decimal("NaN")
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or not 0 <= usd <= MOST_RATE // 10**9:
        raise ValueError(
            f'{name}: a price in USD, from 0 to {MOST_RATE // 10**9:,}, such as "2.50"'
        )
    return int((usd * _NANODOLLARS).to_integral_value(ROUND_CEILING))


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name}: an object")  # noqa: TRY004 -- bad data, not a bad program
    return cast("dict[str, Any]", value)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
