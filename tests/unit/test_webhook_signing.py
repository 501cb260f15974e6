"""Signatures as Standard Webhooks checks them, and secrets that no two tenants share."""

import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from core.webhooks.outbox import DeliveryCursor, WebhookKind
from core.webhooks.signing import Signer, signature, tenant_secret

SECRETS = ("n" * 32, "o" * 32)


def test_a_signature_is_the_one_of_the_specification():
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", body, 1614265330)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_while_secrets_are_rotated_both_sign():
    headers = Signer(SECRETS).headers("acme", "f.1.2.task", b"{}", 1_700_000_000)
    each = [
        signature(
            base64.b64decode(tenant_secret(secret, "acme").removeprefix("whsec_")),
            "f.1.2.task",
            b"{}",
            1_700_000_000,
        )
        for secret in SECRETS
    ]
    assert headers["webhook-signature"].split(" ") == each
    assert headers["webhook-id"] == "f.1.2.task"
    assert headers["webhook-timestamp"] == "1700000000"


def test_no_two_tenants_and_no_two_deployments_share_a_secret():
    made = {tenant_secret(secret, tenant) for secret in SECRETS for tenant in ("a", "b", "ab")}
    assert len(made) == 6
    assert all(len(base64.b64decode(each.removeprefix("whsec_"))) == 32 for each in made)


def test_a_signer_does_not_show_its_secrets():
    assert "nnnn" not in repr(Signer(SECRETS))


def test_cursors_follow_the_log_and_within_an_event_the_kinds():
    cursors = [
        DeliveryCursor(),
        *(
            DeliveryCursor(3, kind.position)
            for kind in (WebhookKind.STEP, WebhookKind.TASK, WebhookKind.CREW)
        ),
        DeliveryCursor.after(3),
        DeliveryCursor(4, WebhookKind.STEP.position),
    ]
    assert cursors == sorted(cursors)
    assert len(set(cursors)) == len(cursors)


def test_the_library_of_the_specification_takes_what_is_signed_and_nothing_else():
    body = '{"ä":1}'.encode()
    headers = Signer(SECRETS).headers("acme", "f.1.2.task", body, int(time.time()))
    for secret in SECRETS:
        assert Webhook(tenant_secret(secret, "acme")).verify(body, headers) == {"ä": 1}
    refused = [
        (tenant_secret(SECRETS[0], "rival"), body, headers),
        (tenant_secret(SECRETS[0], "acme"), body + b" ", headers),
        (tenant_secret(SECRETS[0], "acme"), body, headers | {"webhook-id": "f.1.2.step"}),
        (tenant_secret(SECRETS[0], "acme"), body, headers | {"webhook-timestamp": "1"}),
    ]
    for key, content, given in refused:
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(content, given)
