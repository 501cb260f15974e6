"""What sends webhooks: where to, signed with what, and what is still to be sent."""

from typing import TYPE_CHECKING

from core.bootstrap.provider import provider
from core.bootstrap.stores import budgets, flow_log, keyspace, redis, scripts, settings, values

if TYPE_CHECKING:
    from core.webhooks.dispatcher import WebhookDispatcher
    from core.webhooks.events import Render
    from core.webhooks.outbox import Outbox
    from core.webhooks.sender import WebhookSender
    from core.webhooks.signing import Signer
    from core.webhooks.targets import Targets


@provider
def webhook_targets() -> "Targets":
    """Return where each tenant's webhooks may go."""
    from core.webhooks.targets import Targets

    return Targets(settings().webhook_hosts)


@provider
def outbox() -> "Outbox":
    """Return the flows of which webhooks are still to be sent."""
    from core.adapters.upstash.outbox import UpstashOutbox

    return UpstashOutbox(redis(), keyspace(), scripts(redis()))


@provider
def webhook_sender() -> "WebhookSender":
    """Return what sends one webhook."""
    from core.adapters.http_webhooks import HttpWebhookSender

    return HttpWebhookSender()


def webhook_signer() -> "Signer":
    """Return what signs webhooks. Raises SettingsError where there is nothing to sign them with."""
    from core.config import SettingsError
    from core.webhooks.signing import Signer

    if not settings().webhook_secrets:
        raise SettingsError("CREWLINE_WEBHOOK_HOSTS needs CREWLINE_WEBHOOK_SECRET to sign with")
    return Signer(settings().webhook_secrets)


def webhook_dispatcher(render: "Render") -> "WebhookDispatcher":
    """Return what sends webhooks, with the bodies that `render` makes of notifications.

    Raises SettingsError where there is nothing to sign them with.
    """
    from core.webhooks.dispatch import DispatchParts
    from core.webhooks.dispatcher import WebhookDispatcher

    signer = webhook_signer()
    sender, targets = webhook_sender(), webhook_targets()
    return WebhookDispatcher(
        DispatchParts(
            outbox(),
            flow_log(),
            sender,
            targets,
            signer,
            render,
            values=values(),
            budgets=budgets(),
        )
    )
