"""What each function's bundle has: which packages of the lock, and which of our own files.

boto3 is in none: AWS' runtimes for Python bring it along (docs/adr/0029).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
OWN = ("core", "crews", "functions")
LEFT_OUT = {
    "__pycache__",
    "crew.yaml",  # what was compiled of it is there
    "examples",  # files for a person to try a crew with
    ".env", ".git", ".gitignore", ".venv",  # of a project that was copied here: above all no keys
    "AGENTS.md", "CLAUDE.md", "CURSOR.md", "GEMINI.md", "README.md", "crew.jsonc", "crewline.yaml", "uv.lock",
}  # fmt: skip
IN_MEMORY = "core/adapters/memory"  # for tests
AGENTS = "core/adapters/crewai"
LEARNING = "core/learning"
READERS_NEED_NOT = (
    AGENTS, LEARNING, "core/adapters/upstash/lua",
    *(f"core/adapters/{name}" for name in (
        "genai_prices.py", "http_webhooks.py", "litellm_prices.json", "litellm_prices.py", "offline", "otel.py",
        "price_catalogues.py", "qstash.py", "scikit_learn.py", "sqs.py",
    )),
    "core/costs/savings",
    *(f"core/crews/{name}" for name in (
        "definition", "event_buffer.py", "step_runner.py", "strategies", "worker.py",
    )),
    "core/webhooks", "crews",
    *(f"functions/{name}" for name in ("_agui", "_amp", "_costs", "_learning", "_worker")),
)  # fmt: skip
STREAMING = (
    "infra/__init__.py",
    "infra/draining.py",
    "infra/aws/__init__.py",
    "infra/aws/streaming",
)

# Of what CrewAI asks for, what no crew here can reach: memory, knowledge and MCP are refused in a
# crew's file. The first line is of memory and knowledge, the second of MCP and the terminal.
BEYOND_CREWS = (
    "lancedb", "lance-namespace", "pyarrow", "onnxruntime", "kubernetes", "grpcio", "pdfplumber", "hf-xet",
    "mcp", "textual", "uv", "uvicorn",
)  # fmt: skip

# Groups of pyproject.toml, for models that the worker cannot call without. OpenAI's come with CrewAI, Bedrock's with boto3.
PROVIDERS = ("anthropic", "azure", "gemini")


@dataclass(frozen=True, slots=True)
class Bundle:
    """One function, the group of pyproject.toml that it needs, and what of that and of our files not.

    `runtime` are files of ours that it runs on, `more` are groups that a deployment asks for besides.
    """

    function: str
    group: str
    pruned: tuple[str, ...] = ()
    without: tuple[str, ...] = (AGENTS,)
    runtime: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


BUNDLES = {
    bundle.function: bundle
    for bundle in (
        Bundle("cost_report", "costs"),
        Bundle("crew_agui", "typed", runtime=STREAMING),
        Bundle("crew_amp", "typed"),
        Bundle("crew_launch", "api"),
        Bundle("crew_worker", "worker", pruned=BEYOND_CREWS, without=()),
        Bundle("feedback", "answers"),
        Bundle("flow_events", "polled", without=READERS_NEED_NOT, runtime=STREAMING),
        Bundle("flow_status", "polled", without=READERS_NEED_NOT),
        Bundle("retrain", "fitting"),
        Bundle("sweep", "api"),
    )
}


def own_files(bundle: Bundle, root: Path = ROOT) -> Iterator[Path]:
    """Yield the paths of our own files in a bundle, relative to the root; of functions, its own."""
    without = [root / path for path in (IN_MEMORY, *bundle.without)]
    others = {f"functions/{name}.py" for name in BUNDLES if name != bundle.function}
    for path in (path for name in (*OWN, *bundle.runtime) for path in _at(root / name)):
        relative = path.relative_to(root)
        left_out = not LEFT_OUT.isdisjoint(relative.parts) or relative.as_posix() in others
        if path.is_file() and not left_out and not any(map(path.is_relative_to, without)):
            yield relative


def _at(path: Path) -> list[Path]:
    return sorted(path.rglob("*")) if path.is_dir() else [path]
