"""What a line of the log says, and what it keeps to itself."""

import asyncio
import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from core import logs
from core.adapters.crewai.threads import in_thread
from core.config import Settings, SettingsError
from core.errors import UnavailableError
from tests.unit.test_config import GOOD

SECRET = "sk-SECRET the prompt is private"


def a_record(message: str, *args: Any, name: str = "core.x", **more: Any) -> logging.LogRecord:
    return logging.getLogger(name).makeRecord(
        name, logging.WARNING, "f", 1, message, args, more.get("exc"), extra=more.get("extra")
    )


def a_line(*given: Any, **more: Any) -> dict[str, Any]:
    line = logs.JsonFormatter().format(a_record(*given, **more))
    assert "\n" not in line
    return json.loads(line)


def caught(raising: Any) -> Any:
    try:
        raising()
    except Exception:  # noqa: BLE001 -- whatever it is
        return sys.exc_info()


def test_a_line_has_its_context_and_fields_of_its_own():
    with logs.context(tenant="acme", flow="f1"), logs.context(step="one"):
        line = a_line("it took %s s", 3, extra={"attempt": 2})
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "WARNING", "logger": "core.x", "message": "it took 3 s",
        "tenant": "acme", "flow": "f1", "step": "one", "attempt": 2,
    }  # fmt: skip
    assert "flow" not in a_line("later")


async def test_the_context_of_one_task_is_not_that_of_another_and_goes_into_threads():
    async def named(flow: str) -> Any:
        logs.add(flow=flow)
        await asyncio.sleep(0.01)
        return await asyncio.wrap_future(in_thread("t", lambda: a_line("x")["flow"]))

    assert await asyncio.gather(named("f1"), named("f2")) == ["f1", "f2"]


def test_a_traceback_is_one_field_and_repeats_no_text_of_a_library():
    def refused() -> None:
        try:
            json.loads(SECRET, object_hook=1, cls=Refusing)
        except ValueError as error:
            raise UnavailableError("try again later") from error

    class Refusing(json.JSONDecoder):
        def decode(self, s: str, *_: Any) -> Any:
            raise ValueError(s)

    line = a_line("it failed", exc=caught(refused))
    assert "ValueError" in line["error"]
    assert line["error"].endswith("core.errors.UnavailableError: try again later")
    assert "sk-SECRET" not in json.dumps(line)


def test_of_what_a_library_logs_only_the_first_line_is_written():
    record = a_record(f"Task exception was never retrieved\n{SECRET}", name="asyncio")
    for formatter in (logs.JsonFormatter(), logs.TextFormatter()):
        assert "never retrieved" in formatter.format(record)
        assert "sk-SECRET" not in formatter.format(record)


def test_a_line_for_a_person_has_level_flow_and_message_and_cannot_be_forged():
    with logs.context(flow="f1", tenant="a\nb"):
        line = logs.TextFormatter().format(a_record("no\nroom"))
    assert line == 'WARNING f1 no room tenant="a\\nb"'


@pytest.mark.parametrize("module", ["awslambdaric.bootstrap", "another.host"])
def test_a_hosts_own_handler_is_kept_unless_it_is_that_of_lambda(module: str):
    code = (
        "import logging; from core import logs\n"
        f"its = type('Its', (logging.NullHandler,), {{'__module__': {module!r}}})\n"
        "logging.getLogger().addHandler(its())\n"
        "logs.configure('json'); logs.configure('json')\n"
        "logging.getLogger('core.x').info('hello')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.count('"message": "hello"') == module.startswith("aws")


def test_lines_are_json_but_for_local_runs():
    assert Settings.from_environ(GOOD).log_format == "json"
    assert Settings.from_environ(GOOD | {"CREWLINE_HOST": "local"}).log_format == "text"
    with pytest.raises(SettingsError, match="CREWLINE_LOG must be json or text"):
        Settings.from_environ(GOOD | {"CREWLINE_LOG": "xml"})
