"""Apps of FastAPI, for the protocols of others, whose routes check typed input; the rest start without it."""

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from core import complaints
from functions._http import apps, problems


def fastapi(function: str, router: APIRouter) -> FastAPI:
    """Return an app like `apps.starlette`. Raises TypeError likewise."""
    apps.require_guards(router.routes)
    app = FastAPI(
        openapi_url=None,
        redirect_slashes=False,
        middleware=apps.around(function),
        exception_handlers={
            HTTPException: apps.problem_of,
            RequestValidationError: _invalid,
            Exception: apps.problem_of,
        },
    )
    app.include_router(router)
    return app


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- registered for it alone
    return problems.response(complaints.invalid("a parameter is wrong", error.errors()))
