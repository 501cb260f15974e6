"""Loading a worker: garbage is not looked for meanwhile, and is afterwards, whatever came of it."""

import gc

import pytest

from core import bootstrap
from core.config import SettingsError
from functions._worker import cold_start


@pytest.fixture(autouse=True)
def unfrozen():
    yield
    gc.unfreeze()


def test_while_a_worker_loads_nothing_is_collected(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bootstrap, "is_made", lambda _: False)
    monkeypatch.setattr(bootstrap, "worker", gc.isenabled)
    assert cold_start.loaded() is False
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_a_worker_that_cannot_be_loaded_leaves_the_collector_on(monkeypatch: pytest.MonkeyPatch):
    def failing() -> None:
        raise SettingsError("CREWLINE_MODEL is not set")

    monkeypatch.setattr(bootstrap, "is_made", lambda _: False)
    monkeypatch.setattr(bootstrap, "worker", failing)
    with pytest.raises(SettingsError):
        cold_start.loaded()
    assert gc.isenabled()


def test_one_that_is_there_is_not_loaded_again(monkeypatch: pytest.MonkeyPatch):
    frozen = gc.get_freeze_count()
    monkeypatch.setattr(bootstrap, "is_made", lambda _: True)
    monkeypatch.setattr(bootstrap, "worker", gc.isenabled)
    assert cold_start.loaded() is True
    assert gc.get_freeze_count() == frozen
