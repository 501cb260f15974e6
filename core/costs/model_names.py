"""Model names: who serves a model, and what its provider calls it.

CrewAI and LiteLLM write both into one text, `provider/model`, each provider in a way of its own, and
leave the provider out where the model tells it. A price belongs to a provider and its model.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

LONGEST_NAME = 256  # characters; an ARN of Bedrock has about 150

# Prefix -> provider. https://docs.litellm.ai/docs/providers and https://docs.crewai.com/en/concepts/llms
_PROVIDERS = {
    "openai": "openai",
    "text-completion-openai": "openai",
    "anthropic": "anthropic",
    "claude": "anthropic",
    "azure": "azure",
    "azure_ai": "azure",
    "azure_openai": "azure",
    "azure_text": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "aws": "aws",
    "gemini": "google",
    "google": "google",
    "vertex_ai": "google-vertex",
    "vertex_ai_beta": "google-vertex",
    "google-vertex": "google-vertex",
    "groq": "groq",
    "mistral": "mistral",
    "codestral": "mistral",
    "openrouter": "openrouter",
    "deepinfra": "deepinfra",
    "deepseek": "deepseek",
    "dashscope": "dashscope",
    "ollama": "ollama",
    "ollama_chat": "ollama",
    "lm_studio": "lm_studio",
    "llamafile": "llamafile",
    "hosted_vllm": "hosted_vllm",
    "xai": "x-ai",
    "x-ai": "x-ai",
    "together": "together",
    "together_ai": "together",
    "fireworks": "fireworks",
    "fireworks_ai": "fireworks",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "cloudflare": "cloudflare",
    "databricks": "databricks",
    "github_copilot": "github-copilot",
    "github-copilot": "github-copilot",
    "moonshot": "moonshotai",
    "moonshotai": "moonshotai",
    "voyage": "voyageai",
    "voyageai": "voyageai",
} | {
    name: name
    for name in (
        "arcee", "avian", "baseten", "cerebras", "cursor", "doubleword", "elevenlabs", "meta",
        "minimax", "modal", "novita", "openai-decisions", "ovhcloud", "perplexity", "quicksilverpro",
        "snowflake", "typesafe", "zai", "zhipuai",
    )
}  # fmt: skip

# Names that people write -> names that providers give.
_ALIASES = {
    "deepinfra/mixtral": "mistralai/mixtral-8x7b-instruct-v0.1",
    "aws/anthropic.claude-v2": "anthropic.claude-v2:1",  # 2.0 costs the same
}

_BEDROCK_NAME = (
    r"(?:[a-z-]{2,10}\.)?(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|"
    r"moonshot(?:ai)?|nvidia|openai|qwen|writer|xai|zai)\."
)
# What a name without a provider begins with -> provider; the first that fits counts.
_BARE = [
    (re.compile(pattern), provider)
    for pattern, provider in (
        (r"arn:aws[a-z-]*:bedrock:", "aws"),
        # `us.anthropic.claude-...`: geography, maker, model
        (_BEDROCK_NAME, "aws"),
        (r"ft:|gpt-|chatgpt-|codex-|o\d(?:-|$)|text-embedding-", "openai"),
        (r"claude-", "anthropic"),
        (r"gemini-", "google"),
        (r"grok-", "x-ai"),
        (r"@cf/", "cloudflare"),
        (r"accounts/fireworks/", "fireworks"),
        (r"deepseek-", "deepseek"),
        (r"command-", "cohere"),
        (r"(?:open-)?mi[sx]tral-|(?:code|dev|magi|mini)stral-|pixtral-", "mistral"),
        (r"sonar(?:-|$)", "perplexity"),
        (r"kimi-|moonshot-", "moonshotai"),
        (r"glm-", "zai"),
        (r"voyage-", "voyageai"),
    )
]  # fmt: skip

# How Bedrock is called, and in which region, may stand before its own name of a model.
_BEDROCK_PATH = re.compile(
    r"(?:(?:converse|converse_like|invoke)/)?(?:(?P<region>[a-z]{2}(?:-[a-z]+){1,2}-\d)/)?(?P<model>.+)"
)
# An ARN names a model only if AWS made it; an application's own profile may be of any model.
_BEDROCK_ARN = re.compile(
    r"(?:[a-z0-9_]+/)?arn:aws[a-z-]*:bedrock:(?P<region>[a-z0-9-]*):\d*:"
    r"(?:inference-profile|foundation-model)/(?P<model>.+)"
)
_GOOGLE_PATH = re.compile(r"(?:projects/.*/)?publishers/[^/]+/models/|models/")
_GLOBAL_DEPLOYMENT = re.compile(r"global(?:-standard)?/")

_SNAPSHOT = re.compile(
    r"(?:-latest|[-@](?:20\d{2}-[01]\d-[0-3]\d|20\d{2}[01]\d[0-3]\d)|@[a-z0-9-]+|-00\d)$"
)


@dataclass(frozen=True, slots=True)
class ModelName:
    """A model as its provider calls it, in small letters. `provider` is "" where nothing tells it.

    `region` is where it is asked for, if its name tells: a price list may have a price for that.
    """

    provider: str
    model: str
    region: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.provider, self.region, self.model) if part)

    @property
    def anywhere(self) -> "ModelName":
        """The name without its region."""
        return ModelName(self.provider, self.model)

    @property
    def undated(self) -> "ModelName":
        """The name without a region, and without the date or `-latest` at its end.

        Providers keep the price of a model over its snapshots; where one has another price, it has
        an entry of its own in a price list, which is found before this.
        """
        return ModelName(self.provider, _SNAPSHOT.sub("", self.model) or self.model)


def split_name(name: str) -> ModelName:
    """Return the provider and the model of a name as CrewAI and LiteLLM write it.

    A name of more than LONGEST_NAME characters is nobody's.
    """
    return _split(name) if len(name) <= LONGEST_NAME else ModelName("", "")


@lru_cache(4096)
def counted_name(name: str) -> str:
    """Return the one name that a model is counted, compared and limited under, however it is written.

    `gpt-4o` is `openai/gpt-4o`. A name with its date is a model of its own, as is each fine-tuned one.
    """
    found, written = split_name(name), name.strip().lower()
    if found.model.startswith(
        "ft:"
    ):  # split, all that were made of a base are one: they cost the same
        return f"{found.provider}/{written[written.index('ft:') :]}"
    return str(found) or name


@lru_cache(4096)
def _split(name: str) -> ModelName:
    name = name.strip().lower()
    prefix, slash, model = name.partition("/")
    provider = _provider(prefix, model) if slash else None
    if provider is None:
        return _bare(name)
    return _own_name(provider, model.partition("/")[2] if prefix == "huggingface" else model)


def _provider(prefix: str, model: str) -> str | None:
    """Hugging Face routes to other providers, whose prices count: `huggingface/groq/model`."""
    if prefix == "huggingface":
        return f"huggingface_{model.partition('/')[0]}"
    return prefix if prefix.startswith("huggingface_") else _PROVIDERS.get(prefix)


def _bare(name: str) -> ModelName:
    for begins, provider in _BARE:
        if begins.match(name):
            return _own_name(provider, name)
    return ModelName("", name)


def _own_name(provider: str, model: str) -> ModelName:
    """Take off what stands before a provider's own name of a model.

    A geography stays (`us.` of Bedrock, `eu/` of Azure): it has prices of its own.
    """
    if provider == "aws":
        path = _BEDROCK_ARN.fullmatch(model) or _BEDROCK_PATH.fullmatch(model)
        return _named(provider, path["model"], path["region"] or "") if path else ModelName("", "")
    if model.startswith("ft:"):  # `ft:base:organisation:suffix:id`: all of a base cost the same
        model = ":".join(model.split(":")[:2])
    if provider == "fireworks" and "/" not in model:
        model = f"accounts/fireworks/models/{model}"
    if provider.startswith("google"):
        model = _GOOGLE_PATH.sub("", model, count=1)
    if provider == "azure":  # price lists have the prices of global deployments
        model = _GLOBAL_DEPLOYMENT.sub("", model, count=1)
    return _named(provider, model)


def _named(provider: str, model: str, region: str = "") -> ModelName:
    return ModelName(provider, _ALIASES.get(f"{provider}/{model}", model), region)
