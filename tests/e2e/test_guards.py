"""No app is built in which a route names no scope, or one that no token can have."""

from typing import Any

import pytest
from fastapi import APIRouter, Depends
from starlette.responses import Response
from starlette.routing import Mount, Route

from functions import flow_status
from functions._http import apps, auth, typed_apps


async def plain() -> Response:
    return Response()


def test_an_app_with_a_route_that_names_no_scope_is_not_built():
    unguarded: Any = Route("/v1/flows", plain)
    with pytest.raises(TypeError, match="no scope"):
        apps.starlette("flow_status", [*flow_status.routes, unguarded])
    hidden: Any = Mount("/v1", routes=[unguarded])
    with pytest.raises(TypeError, match="no scope"):
        apps.starlette("flow_status", [hidden])


def test_nor_is_one_of_fastapi():
    router = APIRouter()
    router.add_api_route("/v1/crews", plain, dependencies=[Depends(auth.scope("crews:read"))])
    typed_apps.fastapi("crew_amp", router)
    router.add_api_route("/v1/more", plain)
    with pytest.raises(TypeError, match="no scope"):
        typed_apps.fastapi("crew_amp", router)
    outer = APIRouter()
    outer.include_router(router)
    with pytest.raises(TypeError, match="no scope"):
        typed_apps.fastapi("crew_amp", outer)


def test_a_scope_that_no_token_can_have_is_refused():
    with pytest.raises(ValueError, match="no such scope"):
        auth.scope("flows:reed")
