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
    with logs.context(flow="f1"), logs.context(flow=None):
        assert "flow" not in a_line("of no flow")


async def test_the_context_of_one_task_is_not_that_of_another_and_goes_into_threads():
    async def named(flow: str) -> Any:
        logs.add(flow=flow)
        await asyncio.sleep(0.01)
        return await asyncio.wrap_future(in_thread("t", lambda: a_line("x")["flow"]))

    assert await asyncio.gather(named("f1"), named("f2")) == ["f1", "f2"]


def test_a_traceback_is_one_field_and_repeats_no_text_of_a_library():
    def refused() -> None:
        try:
            int(SECRET)
        except ValueError as error:
            raise UnavailableError("try again later") from error

    line = a_line("it failed", exc=caught(refused))
    said = [part.strip() for part in line["error"].splitlines() if part.strip(" ~^")]  # 3.13 marks
    assert said[said.index("int(SECRET)") + 1] == "ValueError"
    assert line["error"].endswith("core.errors.UnavailableError: try again later")
    assert "sk-SECRET" not in json.dumps(line)


@pytest.mark.parametrize("formatter", [logs.JsonFormatter(), logs.TextFormatter()])
@pytest.mark.parametrize(
    ("record", "kept"),
    [
        (a_record(f"it was never retrieved\n{SECRET}", name="asyncio"), "never retrieved"),
        (a_record(SECRET, name="openai._base_client"), "openai._base_client logged at f:1"),
        (a_record("called with %s", SECRET, name="root"), "at f:1"),
        (a_record("x", name="botocore", extra={"body": SECRET}), "botocore"),
    ],
)
def test_of_what_a_library_logs_only_the_place_is_written(
    record: logging.LogRecord, kept: str, formatter: logging.Formatter
):
    line = formatter.format(record)
    assert kept in line
    assert "sk-SECRET" not in line


NEVER_RETRIEVED = """
import asyncio
async def fail(): raise ValueError(secret)
async def main(): task = asyncio.ensure_future(fail()); await asyncio.sleep(0.01); del task
asyncio.run(main())
"""


@pytest.mark.parametrize("form", [logs.JSON, logs.TEXT])
@pytest.mark.parametrize(
    "code",
    [
        "raise ValueError(secret)",
        "import threading; threading.Thread(target=int, args=(secret,)).start()",
        "import warnings; warnings.warn(secret)",
        "import logging; logging.error(secret); logging.getLogger('x').error('%d', secret)",
        "import logging; logging.getLogger('core.x').error('%d', secret)",
        "X = type('X', (), {'__del__': lambda self: int(secret)}); X()",
        "import asyncio; asyncio.run(asyncio.wait_for(asyncio.sleep(0, int(secret)), 1))",
        NEVER_RETRIEVED,
    ],
)
def test_no_way_out_of_a_process_shows_what_somebody_else_has_written(code: str, form: str):
    begin = f"import sys; from core import logs; logs.configure({form!r}); secret = sys.argv[1]\n"
    run = subprocess.run(
        [sys.executable, "-c", begin + code, SECRET], capture_output=True, text=True, check=False
    )
    assert "sk-SECRET" not in run.stdout + run.stderr
    assert run.stderr.strip()


def test_a_line_for_a_person_has_level_flow_and_message_and_cannot_be_forged():
    with logs.context(flow="f1", tenant="a\nb"):
        line = logs.TextFormatter().format(a_record("no\nroom"))
    assert line.split(" ", 1)[1] == 'WARNING f1 no room tenant="a\\nb"'


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
