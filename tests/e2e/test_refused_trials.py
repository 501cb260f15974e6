"""What cannot be tried or chosen here is refused with what there is, or with why."""

from pathlib import Path

import pytest

from tests.e2e.apps import App, opened
from tests.e2e.test_trials import HALF, MODEL, RIGHT, TRIAL, asked, told, trial_of, used


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (trial_of(crew="haku"), "did you mean haiku?"),
        (trial_of(task="wrte"), "did you mean write?"),
        ("/v1/costs/savings/right_sizing.WyJzdXBwb3J0.../trial", "GET /v1/costs/savings"),
    ],
)
async def test_a_trial_of_what_is_not_there_is_answered_with_what_there_is(
    app: App, path: str, said: str
):
    answer = await asked(app, "POST", path, HALF)
    assert (answer.status_code, said in answer.json()["detail"]) == (404, True)


async def test_an_offline_deployment_takes_no_model_that_it_would_not_ask(tmp_path: Path):
    with opened(tmp_path, model=None, offline_model=True) as app:
        await used(app)
        for method, path, body in (("PUT", MODEL, {"model": RIGHT.to}), ("POST", TRIAL, HALF)):
            answer = await asked(app, method, path, body)
            assert (answer.status_code, "CREWLINE_MODEL" in answer.json()["detail"]) == (409, True)
        assert await told(app, "/v1/costs/models") == {"models": []}
