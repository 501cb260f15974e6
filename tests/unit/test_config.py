import os
import sys
from pathlib import Path

import pytest

from core import bootstrap
from core.bootstrap import models
from core.config import QStash, Settings, SettingsError
from core.config.variables import variables
from core.webhooks.signing import tenant_secret
from infra import webhook_secret
from infra.local import cloud
from infra.local.host import data_folder
from infra.local.processes import Processes

SECRET = "n3w-s3crets" * 3
GOOD = {
    "UPSTASH_REDIS_REST_URL": "https://x.upstash.io",
    "UPSTASH_REDIS_REST_TOKEN": "t-secret",
    "CREWLINE_BUCKET": "b",
    "CREWLINE_JWT_KEYS": f"new:{SECRET}, old:{SECRET}",
}


def test_the_settings_are_read_from_the_environment_they_are_given():
    settings = Settings.from_environ(GOOD)
    assert settings.redis_url == "https://x.upstash.io"
    assert list(settings.jwt_keys) == ["new", "old"]
    assert settings.model is None


def test_secrets_do_not_show():
    shown = repr(Settings.from_environ(GOOD | {"OPENAI_API_KEY": "sk-secret"}))
    assert "secret" not in shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("CREWLINE_MODLE", "CREWLINE_MODEL"),
        ("CREWLINE_LEASE_SECOND", "CREWLINE_LEASE_SECONDS"),
        ("CREWLINE_WEBHOOKS_SECRET", "CREWLINE_WEBHOOK_SECRET"),
        ("CREWLINE_TLS_CERTIFCATE", "CREWLINE_TLS_CERTIFICATE"),
    ],
)
def test_a_misspelt_setting_is_told_with_the_one_that_was_meant(misspelt: str, meant: str):
    with pytest.raises(SettingsError, match=f"{misspelt} is no setting; did you mean {meant}"):
        Settings.from_environ(GOOD | {misspelt: "1"})


def test_variables_of_ones_own_and_of_the_host_are_let_be():
    Settings.from_environ(GOOD | {"CREWLINE_TEAM": "a", "CREWLINE_PORT": "1", "MODLE": "x"})


@pytest.mark.parametrize("name", GOOD)
def test_what_is_missing_is_named(name: str):
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ({k: v for k, v in GOOD.items() if k != name}).token_keys()


def test_what_checks_no_tokens_needs_no_keys_of_them():
    settings = Settings.from_environ({k: v for k, v in GOOD.items() if k != "CREWLINE_JWT_KEYS"})
    with bootstrap.replace(settings=settings):
        assert bootstrap.wake_queue()


def test_only_what_sends_webhooks_needs_a_secret_to_sign_them():
    hosts = {"CREWLINE_WEBHOOK_HOSTS": "acme=hooks.example.com"}
    with bootstrap.replace(settings=Settings.from_environ(GOOD | hosts)):
        assert bootstrap.webhook_targets()
        with pytest.raises(SettingsError, match="CREWLINE_WEBHOOK_SECRET to sign with"):
            bootstrap.webhook_dispatcher(lambda *_: b"")


def test_a_local_run_signs_webhooks_with_a_secret_of_its_machine_which_the_command_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    given = GOOD | {"CREWLINE_WEBHOOK_HOSTS": "acme=http://127.0.0.1:8919"}
    monkeypatch.setenv("CREWLINE_DATA", str(tmp_path))
    started = cloud.start(Processes(tmp_path), data_folder(os.environ), given)
    with bootstrap.replace(settings=Settings.from_environ(started)):
        assert bootstrap.webhook_dispatcher(lambda *_: b"")
    monkeypatch.delenv("CREWLINE_WEBHOOK_SECRET", raising=False)
    monkeypatch.setattr(sys, "argv", ["webhook_secret", "--tenant", "acme"])
    webhook_secret.main()
    secret = started["CREWLINE_WEBHOOK_SECRET"]
    assert capsys.readouterr().out.strip() == tenant_secret(secret, "acme")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UPSTASH_REDIS_REST_URL", "x.upstash.io"),
        ("UPSTASH_REDIS_REST_URL", "http://10.0.0.7:8079"),
        ("UPSTASH_REDIS_REST_URL", "http://127.evil.example"),
        ("UPSTASH_REDIS_REST_URL", "http://localhost.evil.example"),
        ("CREWLINE_LEASE_SECONDS", "soon"),
        ("CREWLINE_LEASE_SECONDS", "-1"),
        ("CREWLINE_LEASE_SECONDS", "29"),  # under three beats
        ("CREWLINE_STREAM_SECONDS", "inf"),
        ("CREWLINE_STREAMS_PER_SUBJECT", "19"),  # a stream may have twenty flows
        ("CREWLINE_BASE_PATH", "prod"),
        ("CREWLINE_BASE_PATH", "/prod?x"),
        ("CREWLINE_JWT_KEYS", "short:key"),
        ("CREWLINE_JWT_KEYS", "x" * 40),
        ("CREWLINE_JWT_KEYS", f"k:{'a' * 32}"),
        ("CREWLINE_JWT_KEYS", f"k:{SECRET},k:{SECRET}"),
        ("CREWLINE_JWT_KEYS", f":{SECRET}"),
        ("CREWLINE_WEBHOOK_SECRET", "a" * 40),
        ("CREWLINE_FLOW_TTL_SECONDS", "3599"),
        ("CREWLINE_FLOW_TTL_SECONDS", "0.5"),
        ("CREWLINE_JWT_KEYS", ",".join(f"k{i}:{SECRET}" for i in range(3))),
        ("CREWLINE_JWT_KEYS", f"dev:{SECRET}"),
        ("CREWLINE_MODEL_BASE_URL", "localhost:1"),
        ("CREWLINE_MODEL_BASE_URL", "https://"),
        ("CREWLINE_MODEL_STREAM", "yes"),
        ("CREWLINE_S3_ENDPOINT", "http://127.0.0.1:port"),
        ("CREWLINE_QUEUE_URL", "arn:aws:sqs:us-east-1:1:queue"),
        ("QSTASH_URL", "http://[::1"),
    ],
)
def test_what_cannot_work_is_refused_by_name(name: str, value: str):
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ(GOOD | {name: value})


def test_the_development_key_is_good_on_the_local_host_alone():
    key = {"CREWLINE_JWT_KEYS": f"dev:{SECRET}"}
    assert Settings.from_environ(GOOD | key | {"CREWLINE_HOST": "local"}).jwt_keys
    for host in ({}, {"CREWLINE_HOST": "prod"}):
        with pytest.raises(SettingsError, match="development key"):
            Settings.from_environ(GOOD | key | host)


@pytest.mark.parametrize(
    ("given", "model"),
    [
        ({"OPENAI_API_KEY": "k"}, "openai/gpt-4o-mini"),
        ({"CREWLINE_MODEL_BASE_URL": "http://127.0.0.1:1/v1", "CREWLINE_MODEL": "m"}, "m"),
        ({"CREWLINE_MODEL": "anthropic/claude-sonnet-4-5"}, "anthropic/claude-sonnet-4-5"),
    ],
)
def test_openai_s_key_or_a_name_is_enough_for_a_real_model(given: dict[str, str], model: str):
    assert Settings.from_environ(GOOD | given).model == model


@pytest.mark.parametrize("host", ["local", "prod"])
@pytest.mark.parametrize(
    "given",
    [
        {"CREWLINE_MODEL_BASE_URL": "http://127.0.0.1:1/v1"},
        {"CREWLINE_MODEL_BASE_URL": "http://127.0.0.1:1/v1", "OPENAI_API_KEY": "k"},
        {"CREWLINE_MODEL_API_KEY": "k"},
        {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "OPENAI_API_KEY": "k"},
        {"OPENAI_API_BASE": "http://127.0.0.1:1/v1", "OPENAI_API_KEY": "k"},
    ],
)
def test_an_address_or_any_key_without_a_model_is_refused(given: dict[str, str], host: str):
    first = next(iter(given))
    with pytest.raises(SettingsError, match=f"{first} needs CREWLINE_MODEL: "):
        Settings.from_environ(GOOD | given | {"CREWLINE_HOST": host})


def test_openai_s_address_of_somebody_else_s_is_passed_over_without_its_key():
    assert Settings.from_environ(GOOD | {"OPENAI_BASE_URL": "http://127.0.0.1:1"}).model is None


NAMES = {
    name
    for settings in (Settings, QStash)
    for _, variable in variables(settings)
    for name in variable.names
}
OPTIONAL = sorted(NAMES - set(GOOD) - {"CREWLINE_REDIS_PLAINTEXT"})


@pytest.mark.parametrize("blank", ["", "  "])
def test_an_empty_setting_is_one_that_is_not_set(blank: str):
    plain = Settings.from_environ(GOOD)
    assert Settings.from_environ(GOOD | dict.fromkeys(OPTIONAL, blank)) == plain
    assert len(OPTIONAL) > 20
    for name in OPTIONAL:
        assert Settings.from_environ(GOOD | {name: blank}) == plain, name


@pytest.mark.parametrize(
    ("more", "offline"),
    [
        ({}, False),
        ({"CREWLINE_HOST": "local"}, True),
        ({"CREWLINE_MODEL": "offline"}, True),
        ({"CREWLINE_MODEL": "offline", "OPENAI_API_KEY": "k"}, True),
        ({"CREWLINE_HOST": "local", "OPENAI_API_KEY": "k"}, False),
    ],
)
def test_the_made_up_model_runs_where_it_is_asked_for_and_on_the_local_host(
    more: dict[str, str], offline: bool
):
    settings = Settings.from_environ(GOOD | more)
    assert settings.offline_model is offline
    assert offline is False or settings.model is None


def test_a_worker_without_a_model_does_not_start():
    with (
        bootstrap.replace(settings=Settings.from_environ(GOOD)),
        pytest.raises(SettingsError, match="CREWLINE_MODEL is not set"),
    ):
        models.model()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CREWLINE_FLOW_TTL_SECONDS", "0.5"),
        ("CREWLINE_FLOW_TTL_SECONDS", "59"),
        ("CREWLINE_PARTITIONS", "0"),
        ("CREWLINE_MAX_REQUEST_BYTES", "1000"),
    ],
)
def test_what_would_lose_flows_is_refused_at_start(name: str, value: str):
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ(GOOD | {name: value})


@pytest.mark.parametrize(
    ("model", "key"),
    [("", "sk-o"), ("openai/gpt-4o-mini", "sk-o"), ("anthropic/claude-sonnet-4-6", None)],
)
def test_openai_s_key_is_handed_to_no_other_provider(model: str, key: str | None):
    environ = GOOD | {"OPENAI_API_KEY": "sk-o", "CREWLINE_MODEL": model}
    assert Settings.from_environ(environ).model_api_key == key
    if not model:
        return
    own = Settings.from_environ(environ | {"CREWLINE_MODEL_API_KEY": "sk-own"})
    assert own.model_api_key == "sk-own"


@pytest.mark.parametrize("host", ["127.0.0.1:80", "localhost", "[::1]:8079", "127.8.9.1"])
def test_a_store_on_this_machine_needs_no_encryption(host: str):
    url = {"UPSTASH_REDIS_REST_URL": f"http://{host}"}
    assert Settings.from_environ(GOOD | url).redis_url == f"http://{host}"


def test_a_store_elsewhere_may_go_without_encryption_if_that_is_asked_for():
    plain = GOOD | {"UPSTASH_REDIS_REST_URL": "http://redis.internal"}
    with pytest.raises(SettingsError, match="CREWLINE_REDIS_PLAINTEXT=yes"):
        Settings.from_environ(plain | {"CREWLINE_REDIS_PLAINTEXT": "no"})
    assert Settings.from_environ(plain | {"CREWLINE_REDIS_PLAINTEXT": "yes"}).redis_url


@pytest.mark.parametrize("entry", ["-hooks.example.com", "a.example.com:443:1", "[::1", "http://a"])
def test_a_webhook_host_that_no_url_can_have_is_refused_at_start(entry: str):
    signed = GOOD | {"CREWLINE_WEBHOOK_SECRET": SECRET}
    assert Settings.from_environ(signed | {"CREWLINE_WEBHOOK_HOSTS": "t=a.example.com:8443,[::1]"})
    with pytest.raises(SettingsError, match="must be like tenant="):
        Settings.from_environ(signed | {"CREWLINE_WEBHOOK_HOSTS": f"t=a.example.com,{entry}"})
