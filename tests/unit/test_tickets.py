"""What a ticket opens, for how long, and what is none."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import identity
from core.errors import UnauthenticatedError
from core.flows import tickets
from core.identity import FLOWS_READ, ID, SUBJECT, Keys, Principal
from tests.hostile_subjects import HOSTILE

NOW = 1_800_000_000
KEYS = Keys({"new": "s" * 64, "old": "o" * 32})
ANN = Principal("acme", "ann", frozenset(identity.SCOPES))
TICKET = tickets.issue(KEYS, ANN, ["f1", "f2"], NOW)

names = st.from_regex(ID, fullmatch=True)
subjects = st.from_regex(SUBJECT, fullmatch=True) | st.sampled_from(HOSTILE)


def refused(ticket: str, keys: Keys = KEYS, now: int = NOW) -> str:
    with pytest.raises(UnauthenticatedError) as caught:
        tickets.verify(ticket, keys, now)
    return str(caught.value)


@given(names, subjects, st.lists(names, min_size=1, max_size=tickets.FLOWS))
def test_a_ticket_lets_its_bearer_read_its_flows_and_no_more(
    tenant: str, subject: str, flows: list
):
    who = Principal(tenant, subject, frozenset())
    ticket = tickets.issue(KEYS, who, flows, NOW)
    seen = tickets.verify(ticket, KEYS, NOW)
    assert seen == Principal(tenant, subject, frozenset({FLOWS_READ}), tuple(flows))
    assert set(ticket) <= set(string.ascii_letters + string.digits + "-._~")  # RFC 3986: unreserved


def test_one_of_the_longest_names_is_no_longer_than_a_ticket_may_be():
    longest = Principal("t" * 64, "|" * 128, frozenset())
    flows = ["f" * 64] * tickets.FLOWS
    assert tickets.verify(tickets.issue(KEYS, longest, flows, NOW), KEYS, NOW).subject == "|" * 128


def test_it_is_good_for_an_hour():
    tickets.verify(TICKET, KEYS, NOW + tickets.TTL_SECONDS - 1)
    assert "expired" in refused(TICKET, now=NOW + tickets.TTL_SECONDS)


def test_it_outlives_a_rotation_but_not_its_key():
    tickets.verify(TICKET, Keys({"newer": "n" * 32, "new": "s" * 64}), NOW)
    refused(TICKET, Keys({"newer": "n" * 32}))


@given(
    st.integers(0, len(TICKET) - 1), st.sampled_from(string.ascii_letters + string.digits + ".~")
)
def test_one_character_changed_is_no_ticket(at: int, character: str):
    changed = TICKET[:at] + character + TICKET[at + 1 :]
    if changed != TICKET:
        refused(changed)


@given(st.text(max_size=200))
def test_other_text_is_no_ticket_and_is_not_repeated(text: str):
    assert text not in refused(text) or len(text) < 10


@pytest.mark.parametrize("change", [str.upper, lambda t: t + "\n", lambda t: t + "a" * 3000])
def test_nor_is_one_that_only_looks_alike(change):
    refused(change(TICKET))


def test_a_token_is_no_ticket_and_a_ticket_no_token():
    token = identity.mint(KEYS, "acme", "ann", [FLOWS_READ], ttl_seconds=60, now=NOW)
    refused(token)
    with pytest.raises(UnauthenticatedError):
        identity.verify(TICKET, KEYS, NOW)
