"""Workers killed around what a flow decided being learnt, which is before the flow ends."""

import pytest

from core.adapters.upstash.feedback import UpstashFeedbackLog
from core.adapters.upstash.http import HttpRedis
from core.config import Settings
from tests import invariants
from tests.deciders import MEMORY
from tests.fault_crews import expected, in_a_row
from tests.fleet import Place, fleet


@pytest.mark.parametrize("trip", ["learning:1", "learnt:1"])
async def test_a_worker_killed_as_a_flow_is_learnt_loses_nothing_and_has_nothing_learnt_twice(
    trip: str, a_place
):
    crew = in_a_row().model_copy(update={"decides": "sides"})
    place: Place = a_place("due-set")
    async with fleet(place, trips=[trip]) as workers:
        await place.launch(crew)
        await workers.ended()
        assert workers.kills == 1
    (told,) = await invariants.check(place, kills=1)
    invariants.succeeded(told, expected(crew))
    settings = Settings.from_environ(place.environ)
    log = UpstashFeedbackLog(HttpRedis(settings.redis_url, settings.redis_token))
    entries = await log.after(place.flows.tenant, MEMORY, 0, 10)
    assert [entry.feedback and entry.feedback.action for entry in entries] == ["left"]
