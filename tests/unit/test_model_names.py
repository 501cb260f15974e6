"""Whose a model is, by each way in which people write its name."""

import pytest

from core.costs.model_names import LONGEST_NAME, split_name

BEDROCK = "anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini"),
        ("OpenAI/GPT-4o-mini ", "openai/gpt-4o-mini"),
        ("gpt-4o-mini", "openai/gpt-4o-mini"),
        ("o3", "openai/o3"),
        ("o4-mini-2025-04-16", "openai/o4-mini-2025-04-16"),
        ("ft:gpt-4o-mini-2024-07-18:acme::8k1", "openai/ft:gpt-4o-mini-2024-07-18"),
        ("openai/ft:gpt-4o-2024-08-06:acme::8k1", "openai/ft:gpt-4o-2024-08-06"),
        ("claude-2", "anthropic/claude-2"),
        ("claude/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("gemini/models/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("google/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("vertex_ai/gemini-2.5-pro", "google-vertex/gemini-2.5-pro"),
        ("vertex_ai/claude-sonnet-4-5@20250929", "google-vertex/claude-sonnet-4-5@20250929"),
        (
            "vertex_ai/projects/p/locations/l/publishers/google/models/gemini-2.5-pro",
            "google-vertex/gemini-2.5-pro",
        ),
        ("azure/gpt-4o", "azure/gpt-4o"),
        ("azure/global-standard/gpt-4o", "azure/gpt-4o"),
        ("azure/eu/gpt-4o", "azure/eu/gpt-4o"),
        ("azure_openai/gpt-4o", "azure/gpt-4o"),
        (f"bedrock/{BEDROCK}", f"aws/{BEDROCK}"),
        (BEDROCK, f"aws/{BEDROCK}"),
        (f"us.{BEDROCK}", f"aws/us.{BEDROCK}"),
        (f"bedrock/eu.{BEDROCK}", f"aws/eu.{BEDROCK}"),
        (f"bedrock/apac.{BEDROCK}", f"aws/apac.{BEDROCK}"),
        (f"us-gov.{BEDROCK}", f"aws/us-gov.{BEDROCK}"),
        (f"bedrock/converse/us.{BEDROCK}", f"aws/us.{BEDROCK}"),
        (f"bedrock/us-east-1/{BEDROCK}", f"aws/us-east-1/{BEDROCK}"),
        (f"bedrock/invoke/us-gov-west-1/{BEDROCK}", f"aws/us-gov-west-1/{BEDROCK}"),
        (
            f"bedrock/arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.{BEDROCK}",
            f"aws/eu-west-1/eu.{BEDROCK}",
        ),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{BEDROCK}", f"aws/us-east-1/{BEDROCK}"),
        ("groq/llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile"),
        ("groq/openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("mistral/mistral-large-latest", "mistral/mistral-large-latest"),
        ("openrouter/anthropic/claude-sonnet-4.5", "openrouter/anthropic/claude-sonnet-4.5"),
        ("deepinfra/mixtral", "deepinfra/mistralai/mixtral-8x7b-instruct-v0.1"),
        ("deepinfra/Qwen/Qwen3-32B", "deepinfra/qwen/qwen3-32b"),
        ("ollama_chat/llama3.1:8b", "ollama/llama3.1:8b"),
        ("xai/grok-4", "x-ai/grok-4"),
        ("together_ai/meta-llama/Llama-3-8b", "together/meta-llama/llama-3-8b"),
        ("fireworks_ai/glm-5p3", "fireworks/accounts/fireworks/models/glm-5p3"),
        ("huggingface/groq/openai/gpt-oss-20b", "huggingface_groq/openai/gpt-oss-20b"),
    ],
)
def test_a_name_is_split_into_provider_and_model(name: str, split: str):
    assert str(split_name(name)) == split


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "tiny",
        "nobody/gpt-4o",  # a provider that we do not know may sell it at any price
        "my-gpt-4",
        "bedrock/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/x1y2",
        "x" * (LONGEST_NAME + 1),
        "openai/" + "x" * 1_000_000,
    ],
)
def test_what_names_no_known_model_is_left_whole(name: str):
    split = split_name(name)
    assert split.provider in {"", "aws"}
    assert len(split.model) <= LONGEST_NAME


@pytest.mark.parametrize(
    ("name", "undated"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("vertex_ai/claude-sonnet-4-5@default", "claude-sonnet-4-5"),
        ("mistral-large-latest", "mistral-large"),
        ("gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("gpt-3.5-turbo-0613", "gpt-3.5-turbo-0613"),  # had a price of its own
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("claude-2", "claude-2"),
    ],
)
def test_a_name_is_known_without_its_date_too(name: str, undated: str):
    assert split_name(name).undated.model == undated
