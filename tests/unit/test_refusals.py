"""What each of Upstash's refusals means to the core."""

import logging

import pytest

from core.adapters.upstash import refusals
from core.adapters.upstash.refusals import CommandError, error_from_reply
from core.errors import TooLargeError, UnavailableError
from infra.local.gateway.refusals import REFUSALS

MINUTES = {"daily-requests", "monthly-requests", "capacity"}
TOO_LARGE = {"request-size", "record-size", "key-size", "field-size", "member-size"}
OPERATORS = {*MINUTES, "wrong-token", "no-token", "no-permission", "unheard-of"}
IN_A_SCRIPT = "{} script: d0bb0e9ae4e9ab2e6f4d3a5d7bcd4a2d2d2d6a11, on @user_script:12."


@pytest.mark.parametrize("words", ["{}", IN_A_SCRIPT, "ERR Error running script: {}"])
@pytest.mark.parametrize("name", sorted(set(REFUSALS) - {"unheard-of"}))
def test_every_refusal_of_upstash_passes_or_is_too_large_and_none_is_our_fault(
    name: str, words: str
):
    error = error_from_reply(words.format(REFUSALS[name].message))
    assert isinstance(error, TooLargeError if name in TOO_LARGE else UnavailableError)
    if isinstance(error, UnavailableError):
        assert (error.retry_after_seconds >= 60) is (name in MINUTES)


def test_a_refusal_that_nobody_has_listed_passes_unless_a_script_raised_it():
    message = REFUSALS["unheard-of"].message
    assert isinstance(error_from_reply(message), UnavailableError)
    assert isinstance(error_from_reply(IN_A_SCRIPT.format(message)), CommandError)


@pytest.mark.parametrize("name", REFUSALS)
def test_what_an_operator_has_to_mend_is_logged_once_a_minute(
    name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(refusals, "_logged_at", dict[str, float]())
    for usage in range(3):
        error_from_reply(REFUSALS[name].message.replace("Usage: ", f"Usage: {usage}"))
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(logged) == (name in OPERATORS)


def test_what_a_reply_quotes_of_a_command_is_not_repeated():
    for quoted in ("'a private prompt'", '"a private', '["EVAL", "a private prompt"]'):
        error = error_from_reply(f"ERR unknown command 'X' don't, with args: {quoted}")
        assert str(error) == "ERR unknown command ... don't, with args: ..."


@pytest.mark.parametrize(
    "message",
    [
        "NOSCRIPT No matching script. Please use EVAL.",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "CROSSSLOT Keys in request don't hash to the same slot",
        "ERR unknown command 'NOSUCH', with args beginning with: ",
        "ERR wrong number of arguments for 'get' command",
        "ERR syntax error",
        "ERR value is not an integer or out of range",
        "ERR min or max is not a float",
        "ERR hash value is not an integer",
        "ERR The ID specified in XADD is equal or smaller than the target stream top item",
        "ERR user_script:12: attempt to index a nil value script: d0bb0e9ae4e9ab2e6f4d3a5d7bcd4a2d2d2d6a11",
        "ERR Error compiling script (new function): user_script:1: unexpected symbol",
        "ERR Command is not available: 'WAIT'",
        "ERR failed to parse the body as JSON",
    ],
)
def test_our_own_faults_stay_errors_that_no_waiting_mends(message: str):
    assert isinstance(error_from_reply(message), CommandError)
