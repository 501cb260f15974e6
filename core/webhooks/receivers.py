"""Where a flow's webhooks go: what the launch named, and what the answers of people added.

A flow keeps of its launch, as JSON: a URL for each kind, `authorization` with the header that the
receiver of a kind asks for, and `meta`, which goes into every body. A person's answer keeps the
URLs it adds in the result it is stored as, under `webhooks`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.blobs import BlobRef
from core.crews.control import WEBHOOKS_KEY
from core.webhooks.outbox import WebhookKind

META_KEY = "meta"
AUTHORIZATION_KEY = "authorization"


@dataclass(frozen=True, slots=True)
class Receivers:
    """Who gets a flow's webhooks: an address by kind, and the header that its receiver asks for."""

    urls: Mapping[WebhookKind, str]
    authorizations: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    @classmethod
    def of(cls, webhooks: Mapping[str, Any], results: Mapping[str, Any]) -> "Receivers":
        """Return what is in use once these results are there; a BlobRef is no person's answer."""
        answers = [each for each in results.values() if not isinstance(each, BlobRef)]
        added = [answer[WEBHOOKS_KEY] for answer in answers if WEBHOOKS_KEY in answer]
        every = {k: url for source in (*added, webhooks) for k, url in source.items()}
        urls = {kind: every[kind] for kind in WebhookKind if kind in every}
        return cls(urls, webhooks.get(AUTHORIZATION_KEY, {}))

    def url(self, kind: WebhookKind) -> str | None:
        """Return where this kind is sent."""
        return self.urls.get(kind)

    def authorization(self, kind: WebhookKind) -> str | None:
        """Return the header that goes along."""
        return self.authorizations.get(kind)

    @property
    def kind_for_waiting(self) -> WebhookKind:
        """As what a wait is sent: to the address that is for that, or else to the crew's."""
        named = WebhookKind.HUMAN_INPUT in self.urls
        return WebhookKind.HUMAN_INPUT if named else WebhookKind.CREW
