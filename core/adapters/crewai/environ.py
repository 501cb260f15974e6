"""What CrewAI must find in the environment when it is imported; it reads most of it only then."""

from collections.abc import MutableMapping

# Whatever the host says: prompts and results are the tenant's, and leave for its model alone.
_FIXED = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "PYTHON_DOTENV_DISABLED": "true",  # CrewAI reads the first .env above its own code
    "CREWAI_TRACING_ENABLED": "false",
}
# A deployment may want these otherwise: its own OpenTelemetry, say.
_DEFAULTS = {
    "OTEL_SDK_DISABLED": "true",
    "CREWAI_TESTING": "true",  # no first-run question about traces
    "CREWAI_DISABLE_VERSION_CHECK": "true",
}


def prepare_environ(environ: MutableMapping[str, str], home: str) -> None:
    """Keep CrewAI silent, offline but for the model, and its files under `home`.

    `home` is a writable folder. It replaces HOME, since Lambda sets one that cannot be written,
    where CrewAI fails; on a machine of one's own, pass its HOME to leave that as it is.
    """
    environ.update(_FIXED, HOME=home)
    if region := environ.get("AWS_REGION", "").strip():
        environ["AWS_DEFAULT_REGION"] = region  # CrewAI calls Bedrock in us-east-1 without it
    for name, value in {
        **_DEFAULTS,
        "CREWAI_STORAGE_DIR": f"{home}/.cache/crewline/crewai",
    }.items():
        environ.setdefault(name, value)
