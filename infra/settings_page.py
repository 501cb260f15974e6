"""Writes docs/settings.md from what core.config declares: `python -m infra.settings_page`."""

from collections.abc import Iterator
from pathlib import Path

from core.config.settings import Oidc, QStash, Settings
from core.config.variables import Variable, variables

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
INTRODUCTION = """\
# Settings

All are variables of the environment; an empty one is one that is not set. They are read and checked when a
process starts: `make dev`, `make demo`, the container and the worker end with a sentence that names the one that
cannot work. Which functions need a model's key: the worker alone.
"""
SECTIONS = {  # by the first field of each
    "redis_url": "What a deployment cannot do without",
    "oidc": "Tokens of an OIDC issuer",
    "model": "The model and the tools",
    "queue_url": "How workers are woken",
    "worker_seconds": "Steps and workers",
    "stream_seconds": "Readers and pages",
    "webhook_hosts": "Webhooks",
    "flow_ttl_seconds": "The store",
    "log_format": "Servers and logs",
}
GROUPS = {"qstash": QStash, "oidc": Oidc}  # fields that stand for several settings
HEADER = "| variable | default | what it is |\n|---|---|---|\n"
OF_SERVERS = """\
| `CREWLINE_PORT` | 8787; container `PORT`, else 8443 | the port of a server |
| `CREWLINE_TLS_CERTIFICATE`, `CREWLINE_TLS_KEY` | none: in the clear, behind what ends TLS | PEM files, for the container |
| `CREWLINE_DATA`, `REDIS_URL` | `.data`, a local Valkey | local runs only: folder, a Redis at `redis://127.0.0.1:PORT` |
"""


def page() -> str:
    """Return the page. What servers read by themselves stands in its last table."""
    parts = [INTRODUCTION]
    for name, variable in variables(Settings):
        if name in SECTIONS:
            parts.append(f"\n## {SECTIONS[name]}\n\n{HEADER}")
        parts += _rows_of(GROUPS[name]) if name in GROUPS else _rows(variable)
    return "".join([*parts, OF_SERVERS])


def _rows_of(group: type) -> Iterator[str]:
    for _, variable in variables(group):
        yield from _rows(variable)


def _rows(variable: Variable) -> Iterator[str]:
    if variable.names:
        names = " or ".join(f"`{name}`" for name in variable.names)
        default = f" {variable.shown_default} " if variable.shown_default else " "
        yield f"| {names} |{default}| {variable.meaning} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
