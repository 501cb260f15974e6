"""Wake-ups as queues deliver them: whoever writes into a queue, no message stops what reads it."""

import base64
import json
from typing import Any

import pytest

from core.adapters.qstash import QStashVerifier
from core.errors import UnauthenticatedError
from functions._worker.wakeups import named_flow

DEEP = "[" * 4000
VERIFIER = QStashVerifier(["k" * 32])


def test_a_message_names_a_flow_and_its_tenant():
    assert named_flow('{"tenant":"acme","flow":"fl_1"}') == ("acme", "fl_1")


@pytest.mark.parametrize(
    "body",
    [
        "", "null", "[]", "1e999", "\0", "{", DEEP, '{"tenant":' * 4000,
        f'{{"tenant":"acme","flow":"fl_1","more":{DEEP}',
        f'{{"tenant":{"[" * 900}{"]" * 900},"flow":"fl_1"}}',
    ],
)  # fmt: skip
def test_what_is_no_message_of_ours_names_nothing(body: str):
    assert named_flow(body) is None


@pytest.mark.parametrize("name", ["", "a/b", "a" * 65, "a:b", "\ud800", "{acme}", 1, None, ["a"]])
@pytest.mark.parametrize("member", ["tenant", "flow"])
def test_what_can_be_no_id_names_nothing(member: str, name: Any):
    assert named_flow(json.dumps({"tenant": "acme", "flow": "fl_1"} | {member: name})) is None


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "signature",
    [
        "", "..", f"{encoded(DEEP)}.e30.AAAA", f"{encoded('{}')}.{encoded(DEEP)}.AAAA",
        f"{encoded(json.dumps({'alg': 'HS256', 'crit': ['a']}))}.e30.AAAA", "\xff.\xff.\xff",
        f"{encoded('9' * 5000)}.e30.AAAA",
    ],
)  # fmt: skip
def test_what_is_no_signature_is_refused_as_one_that_is_wrong(signature: str):
    with pytest.raises(UnauthenticatedError):
        VERIFIER.verify(signature, b"{}", "https://example.com/v1/worker")
