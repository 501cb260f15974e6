"""What a process knows of prompts it sent: which beginnings a provider's cache could have held."""

import pytest

from core.costs.prompt_history import HOUR_MS, MINUTES_MS, PromptHistory, least_tokens, pieces
from core.costs.token_counts import TokenCounts

WHERE = ("acme", "brief", "write", "writer", "openai/gpt-4o")
SYSTEM, ASK = "s" * 8000, "u" * 2000  # of 10,000 characters
TOKENS = TokenCounts(2_500, output=10)


def told(history: PromptHistory, ask: str, at_ms: int, *rounds: tuple[str, str], **more: str):
    where = (more.get("tenant", WHERE[0]), *WHERE[1:])
    prompt = pieces("", [("system", more.get("system", SYSTEM)), ("user", ask), *rounds])
    looked = history.look(where, prompt, at_ms)
    history.keep(looked.sent, at_ms, answered=more.get("cut") is None)
    return looked.facts(WHERE[-1], TOKENS, 900)


def test_the_first_prompt_repeats_nothing():
    assert told(PromptHistory(), ASK, 0) == {"cacheable": 2500, "stable": 2000}


def test_another_task_with_the_same_instructions_repeats_these():
    history = PromptHistory()
    told(history, ASK, 0)
    assert told(history, "v" * 2000, MINUTES_MS) == {
        "cacheable": 2500, "stable": 2000, "stable_5m": 2000, "stable_1h": 2000,
        "prefix_5m": 2000, "prefix_1h": 2000, "hits_5m": 1, "hits_1h": 1,
    }  # fmt: skip


def test_after_five_minutes_only_a_longer_cache_would_have_it_and_after_an_hour_none():
    history = PromptHistory()
    told(history, ASK, 0)
    later = told(history, "v" * 2000, MINUTES_MS + 1)
    assert later == {
        "cacheable": 2500,
        "stable": 2000,
        "stable_1h": 2000,
        "prefix_1h": 2000,
        "hits_1h": 1,
    }
    assert told(history, "w" * 2000, HOUR_MS + MINUTES_MS + 2) == {
        "cacheable": 2500,
        "stable": 2000,
    }


def test_each_use_keeps_a_beginning_for_another_while():
    history = PromptHistory()
    for at in range(4):
        facts = told(history, str(at) * 2000, at * MINUTES_MS)
    assert facts["prefix_5m"] == 2000


def test_the_next_round_of_an_agent_repeats_the_whole_one_before():
    history = PromptHistory()
    told(history, ASK, 0)
    facts = told(history, ASK, 1, ("assistant", "a" * 5000), ("tool", "t" * 5000))
    assert facts["prefix_5m"] == round(2500 * 10_000 / 20_000)
    assert "older_rounds" not in facts


def test_what_an_agent_did_before_its_last_round_is_told():
    rounds = [(role, role[0] * 2500) for role in ("assistant", "tool", "assistant", "tool")]
    facts = told(PromptHistory(), ASK, 0, *rounds)
    assert facts["older_rounds"] == round(2500 * 5000 / 20_000)


def test_the_same_prompt_again_is_a_repeat_unless_its_answer_was_no_use():
    history = PromptHistory()
    told(history, ASK, 0, cut="yes")
    assert "repeats" not in told(history, ASK, 1)
    facts = told(history, ASK, 2)
    assert (facts["repeats"], facts["repeats_cost"], facts["prefix_5m"]) == (1, 900, 2500)


@pytest.mark.parametrize("more", [{"tenant": "other"}, {"system": "x" * 8000}])
def test_what_differs_at_its_beginning_repeats_nothing(more: dict[str, str]):
    history = PromptHistory()
    told(history, ASK, 0)
    assert told(history, ASK, 0, **more) == {"cacheable": 2500, "stable": 2000}


def test_a_prompt_too_short_for_a_cache_is_not_told_of():
    history = PromptHistory()
    told(history, ASK, 0, system="s" * 1000)
    facts = told(history, "v" * 2000, 1, system="s" * 1000)
    assert (round(2500 / 3), facts) == (833, {"cacheable": 2500})
    assert least_tokens("anthropic/claude-haiku-4-5") == 4096
    assert least_tokens("bedrock/us.anthropic.claude-3-5-haiku-20241022-v1:0") == 2048
    assert least_tokens("openai/gpt-4o") == 1024


def test_it_remembers_a_bounded_number():
    history = PromptHistory(most=4)
    for at in range(9):
        told(history, str(at) * 2000, at, system=f"{at}" * 8000)
    assert told(history, "0" * 2000, 10, system="0" * 8000) == {"cacheable": 2500, "stable": 2000}
    assert "repeats" in told(history, "8" * 2000, 10, system="8" * 8000)


WRITES, READS, NEITHER = (
    TokenCounts(10, cache_write_5m=2000),
    TokenCounts(10, cache_read=2000),
    TokenCounts(10),
)


@pytest.mark.parametrize(
    ("after", "at_ms", "unread"),
    [
        (READS, MINUTES_MS, 0),
        (READS, MINUTES_MS + 1, 1),
        (WRITES, 1, 1),
        (NEITHER, 1, 0),
        (NEITHER, MINUTES_MS + 1, 1),
    ],
)
def test_a_cache_write_that_nothing_reads_in_time_is_told_once(
    after: TokenCounts, at_ms: int, unread: int
):
    history = PromptHistory()
    assert history.unread(WHERE, WRITES, 0) == {}
    found = history.unread(WHERE, after, at_ms)
    assert found == ({"unread_n": 1, "unread": 2000} if unread else {})
    assert history.unread(WHERE, READS, at_ms) == {}
