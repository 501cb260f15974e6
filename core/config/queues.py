"""Settings of QStash, which belong together: all of them or none."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.config.variables import read_all, text


@dataclass(frozen=True, slots=True)
class QStash:
    """How QStash is reached, and how it reaches the worker."""

    worker_url: str = text(
        "CREWLINE_WORKER_URL",
        "QStash wakes `functions.crew_worker.app` at this address, which ends in `/v1/worker`",
        required=True,
        is_address=True,
    )
    token: str = text("QSTASH_TOKEN", "what messages are sent with", required=True, secret=True)
    current_signing_key: str = text(
        "QSTASH_CURRENT_SIGNING_KEY", "what messages are signed with", required=True, secret=True
    )
    next_signing_key: str = text(
        "QSTASH_NEXT_SIGNING_KEY", "the same after the next rotation", required=True, secret=True
    )
    url: str = text(
        "QSTASH_URL", "where QStash is", default="https://qstash.upstash.io", is_address=True
    )
    sweep_url: str | None = text(
        "CREWLINE_SWEEP_URL",
        "the address of `functions.sweep.app`, ending in `/v1/sweep`, if a schedule of QStash calls"
        " it every minute",
        is_address=True,
    )
    retrain_url: str | None = text(
        "CREWLINE_RETRAIN_URL",
        "the address of `functions.retrain.app`, ending in `/v1/retrain`, if a schedule of QStash calls"
        " it every few minutes",
        is_address=True,
    )

    @property
    def signing_keys(self) -> tuple[str, ...]:
        """The current one and the next."""
        return (self.current_signing_key, self.next_signing_key)


def read_qstash(environ: Mapping[str, str]) -> QStash | None:
    """Return how QStash is used; None where nothing is woken by it."""
    if "CREWLINE_WORKER_URL" not in environ:
        return None
    return QStash(**read_all(QStash, environ))
