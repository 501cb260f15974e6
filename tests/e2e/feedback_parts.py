"""Feedback as it is given over HTTP, and questions to which it is the answer."""

from collections.abc import Mapping
from typing import Any

import httpx

from functions import feedback
from tests.e2e.apps import App

BILL = {"message": "where is my bill"}


LOST = {"message": "I lost my card"}


def said(action: str, context: Mapping[str, Any] = BILL, **more: Any) -> dict[str, Any]:
    return {"task": "route", "context": dict(context), "action": action} | more


async def give(app: App, body: Any, **who: Any) -> httpx.Response:
    async with app.client(feedback, **who) as client:
        return await client.post("/v1/feedback", json=body)


async def ask(
    app: App, context: Mapping[str, Any] = BILL, task: str = "route", **more: Any
) -> dict[str, Any]:
    async with app.client(feedback) as client:
        body = {"task": task, "context": context} | more
        answer = await client.post("/v1/recommendations", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def best(app: App, context: Mapping[str, Any] = BILL, task: str = "route") -> str | None:
    actions = (await ask(app, context, task))["actions"]
    return actions[0]["action"] if actions else None


async def pointers(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {one["pointer"]: one["detail"] for one in answer.json()["errors"]}
