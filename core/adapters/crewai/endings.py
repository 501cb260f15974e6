"""Endings: why a model's answer ended, in the word of each provider (`finish_reason`, `stop_reason`).

Half an answer is no result. So the good ends are listed, and a word that is on no list is not taken
for one: the call is made again, and where the provider ends that answer alike it is taken, since
nothing better will come, and the user is told.

Sources: the API references of OpenAI, Anthropic, Gemini, Bedrock, Mistral, DeepSeek, Cohere, OpenRouter,
xAI, Zhipu, watsonx; vLLM, SGLang, TGI and Ollama for servers of one's own.
"""

import re
from dataclasses import replace

from core.adapters.crewai.failures import BROKEN_OFF, CUT_SHORT, FILTERED, REFUSED, Failure

_PREFIX = re.compile(r"^(finish_?reason|reason)[._]")  # as in `FinishReason.STOP`
_ABSENT = frozenset({"", "null", "none"})
_MALFORMED = replace(BROKEN_OFF, reason="the model's call of a tool was malformed")
_BY_WORD = {
    None: "stop end_turn stop_sequence eos eos_token endoftext complete completed"
    " tool_calls tool_call tool_use function_call",
    CUT_SHORT: "length max_tokens max_length max_output_tokens model_length token_limit error_limit"
    " model_context_window_exceeded context_length_exceeded incomplete not_finished time_limit",
    FILTERED: "content_filter content_filtered guardrail_intervened guardrails sensitive error_toxic"
    " safety recitation blocklist prohibited_content spii language model_armor"
    " image_safety image_prohibited_content image_recitation",
    REFUSED: "refusal",
    BROKEN_OFF: "error failed failure abort aborted timeout cancel cancelled canceled user_cancel"
    " interrupted insufficient_system_resource network_error other finish_reason_unspecified unspecified"
    " pause_turn in_progress queued",
    _MALFORMED: "malformed_function_call malformed_tool_use malformed_model_output"
    " unexpected_tool_call too_many_tool_calls",
}
_FAILURES = {word: failure for failure, words in _BY_WORD.items() for word in words.split()}
_SHOWN = re.compile(r"[a-z]+(_[a-z]+)*")  # a word of a protocol; no key looks like that
_SHOWN_CHARACTERS = 40


def word_of(finish_reason: str | None) -> str:
    """Return a provider's word as it stands in the lists; empty where it gave none."""
    word = _PREFIX.sub("", (finish_reason or "").strip().lower())
    return "" if word in _ABSENT else word


def failure_of(word: str) -> Failure | None:
    """Return why an answer that ended with this word is none; None for a good or unknown end."""
    return _FAILURES.get(word)


def doubt(word: str) -> Failure | None:
    """Return what is told of an answer whose end is on no list, or None."""
    if not word or word in _FAILURES:
        return None
    shown = f" ({word})" if _SHOWN.fullmatch(word) and len(word) <= _SHOWN_CHARACTERS else ""
    return Failure(f"the model's provider ended its answer for an unknown reason{shown}", repeats=1)
