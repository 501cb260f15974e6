"""The header Idempotency-Key, as FastAPI reads it: apart, since most functions do without FastAPI."""

from typing import Annotated

from fastapi import Header

IdempotencyKey = Annotated[str | None, Header(pattern=r"^[ -~]{1,255}$")]
