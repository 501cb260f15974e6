"""Prices from the library genai-prices, out of the data it ships with: no network, no updating."""

from decimal import ROUND_CEILING, Decimal

from genai_prices import Usage, calc_price

_NANODOLLARS = Decimal(1_000_000_000)


class GenaiPriceBook:
    """PriceBook over genai-prices, at today's prices."""

    def cost_nanodollars(
        self,
        model: str,
        input_tokens: int,
        output_tokens: int,
        *,
        cache_read_tokens: int = 0,
        cache_write_tokens: int = 0,
    ) -> int | None:
        """Return the price of one call, rounded up; None if the library does not know the model.

        `model` is `provider/model`, or a bare name that tells its provider. A provider that bills
        its cache no differently has the price without it.
        """
        provider, slash, name = model.partition("/")
        usage = Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cache_read_tokens=cache_read_tokens,
            cache_write_tokens=cache_write_tokens,
        )
        try:
            price = calc_price(usage, name or model, provider_id=provider if slash else None)
        except LookupError:
            return None
        return int((price.total_price * _NANODOLLARS).to_integral_value(ROUND_CEILING))
