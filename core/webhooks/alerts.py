"""Sending the alert of a budget to the budget's address: signed, tried again and given up as others are.

Each alert is a delivery by itself, so a receiver that fails holds up no other budget's.
"""

import hashlib
import json
import logging
from dataclasses import replace
from typing import Any

from core.errors import InvalidInputError
from core.webhooks.dispatch import Dispatch
from core.webhooks.hosts import SlowHostError
from core.webhooks.sender import UndeliveredError

log = logging.getLogger(__name__)

ID_DIGITS = 32  # hex


class AlertDispatch(Dispatch):
    """An alert in our hands. It goes to the address that its budget has now; without one, nowhere."""

    async def _process(self) -> None:
        event: dict[str, Any] = json.loads(self.delivery.alert or "{}")
        url = await self._address(event["value"]["budget"])
        if url is None:
            return await self._leave()
        body = {"type": event["name"], "timestamp": event.get("timestamp"), **event["value"]}
        try:
            await self._post_to(url, body, _name(self.delivery.flow))
        except SlowHostError:
            await self._give_back(self.delivery, self.parts.times.put_off_ms())
        except (UndeliveredError, InvalidInputError) as error:
            await self._failed(error)
        else:
            await self._leave()

    async def _failed(self, error: Exception) -> None:
        times, failures = self.parts.times, self.delivery.failures + 1
        if failures >= times.tries:
            log.warning("an alert of a budget is given up: %s", error)
            return await self._leave()
        log.info("an alert of a budget is sent again: %s", error)
        delivery = replace(self.delivery, failures=failures)
        return await self._give_back(delivery, times.delay_ms(failures))

    async def _address(self, name: str) -> str | None:
        if self.parts.budgets is None:
            return None
        there = await self.parts.budgets.all(self.tenant, name)
        return next((budget.webhook for budget in there.budgets if budget.id == name), None)


def _name(entry: str) -> str:
    """Return the id of a webhook, however often it is sent; the entry's name may hold any character."""
    return f"budget_{hashlib.sha256(entry.encode()).hexdigest()[:ID_DIGITS]}"
