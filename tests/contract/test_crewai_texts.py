"""The parts of the CrewAI adapter that need no CrewAI: answers as JSON, and the environment."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.adapters.crewai.answers import InvalidAnswerError, read
from core.adapters.crewai.environ import prepare_environ

ANY: dict[str, Any] = {}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(json_values, st.sampled_from(["%s", " %s\n", "```json\n%s\n```", "Here:\n```\n%s```\nSo."]))
def test_any_json_is_read_with_or_without_a_fence(value: Any, form: str):
    assert read(form.replace("%s", json.dumps(value)), ANY) == value


def test_without_a_schema_an_answer_is_its_text():
    assert read("{not json", None) == "{not json"


def test_backticks_within_a_string_do_not_end_the_fence():
    assert read('```json\n{"a": "```\\n"}\n```', ANY) == {"a": "```\n"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "NaN",
        "[-Infinity]",
        '{"a": 1e999}',
        "[" * 100_000,
        "9" * 5_000,
        "```json\nno\n```",
    ],
)
def test_what_is_not_json_is_invalid(text: str):
    with pytest.raises(InvalidAnswerError, match="not JSON"):
        read(text, ANY)


LONG = "word " * 2_000


@pytest.mark.parametrize(
    ("value", "rule", "says"),
    [
        (LONG, {"maxLength": 280}, "it is longer than 280 characters, here 10000. It is: "),
        ([LONG] * 7, {"maxItems": 5}, "it has more than 5 items, here 7. It is: "),
        ([LONG], {"minItems": 2}, "it has less than 2 items, here 1. It is: "),
        (LONG, {"type": "number"}, 'it is not of type "number". It is: '),
        (LONG, {"enum": ["a", "b"]}, 'it is not one of "a" or "b". It is: '),
        (LONG, {"pattern": "^x$"}, 'it does not match "^x$". It is: '),
        ({LONG: 1}, {"required": ["n"]}, "required: n. It is: "),
        (
            {LONG: {"a": 1}},
            {"additionalProperties": {"type": "null"}},
            'not of type "null". It is: ',
        ),
    ],
)
def test_a_complaint_says_the_rule_and_its_limit_before_a_shortened_value(
    value: Any, rule: dict[str, Any], says: str
):
    with pytest.raises(InvalidAnswerError, match=r"^at \$\.a\b") as invalid:
        read(json.dumps({"a": value}), {"properties": {"a": rule}})
    assert says in str(invalid.value)
    assert len(str(invalid.value)) < 900


def test_the_environment_is_quiet_whatever_it_was():
    environ = {
        "HOME": "/not/writable",
        "CREWAI_TRACING_ENABLED": "true",
        "OTEL_SDK_DISABLED": "false",
    }
    prepare_environ(environ, "/tmp/x")  # noqa: S108 -- a name, nothing is written
    assert environ["HOME"] == "/tmp/x"  # noqa: S108
    assert environ["CREWAI_STORAGE_DIR"].startswith("/tmp/x/")  # noqa: S108
    assert environ["CREWAI_DISABLE_TELEMETRY"] == "true"
    assert environ["CREWAI_TRACING_ENABLED"] == "false"
    assert environ["OTEL_SDK_DISABLED"] == "false"
