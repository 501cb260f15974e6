import pytest

from core.config import Settings, SettingsError

GOOD = {
    "UPSTASH_REDIS_REST_URL": "https://x.upstash.io",
    "UPSTASH_REDIS_REST_TOKEN": "t-secret",
    "CREWLINE_BUCKET": "b",
    "CREWLINE_JWT_KEYS": f"new:{'n' * 32}, old:{'o' * 32}",
}


def test_the_settings_are_read_from_the_environment_they_are_given():
    settings = Settings.from_environ(GOOD)
    assert settings.redis_url == "https://x.upstash.io"
    assert list(settings.jwt_keys) == ["new", "old"]
    assert settings.model is None


def test_secrets_do_not_show():
    shown = repr(Settings.from_environ(GOOD | {"OPENAI_API_KEY": "sk-secret"}))
    assert "secret" not in shown
    assert "n" * 32 not in shown


@pytest.mark.parametrize("name", GOOD)
def test_what_is_missing_is_named(name: str):
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ({k: v for k, v in GOOD.items() if k != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CREWLINE_LEASE_SECONDS", "soon"),
        ("CREWLINE_LEASE_SECONDS", "-1"),
        ("CREWLINE_LEASE_SECONDS", "29"),  # under three beats
        ("CREWLINE_STREAM_SECONDS", "inf"),
        ("CREWLINE_STREAMS_PER_SUBJECT", "19"),  # a stream may have twenty flows
        ("CREWLINE_BASE_PATH", "prod"),
        ("CREWLINE_BASE_PATH", "/prod?x"),
        ("CREWLINE_JWT_KEYS", "short:key"),
        ("CREWLINE_JWT_KEYS", "x" * 40),
        ("CREWLINE_JWT_KEYS", ",".join(f"k{i}:{'s' * 32}" for i in range(3))),
        ("CREWLINE_JWT_KEYS", f"dev:{'d' * 32}"),
    ],
)
def test_what_cannot_work_is_refused_by_name(name: str, value: str):
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ(GOOD | {name: value})


def test_the_development_key_is_good_on_the_local_host_alone():
    key = {"CREWLINE_JWT_KEYS": f"dev:{'d' * 32}"}
    assert Settings.from_environ(GOOD | key | {"CREWLINE_HOST": "local"}).jwt_keys
    for host in ({}, {"CREWLINE_HOST": "prod"}):
        with pytest.raises(SettingsError, match="development key"):
            Settings.from_environ(GOOD | key | host)


@pytest.mark.parametrize(
    ("given", "model"),
    [
        ({"OPENAI_API_KEY": "k"}, "openai/gpt-4o-mini"),
        ({"CREWLINE_MODEL_BASE_URL": "http://127.0.0.1:1/v1"}, "openai/gpt-4o-mini"),
        ({"CREWLINE_MODEL": "anthropic/claude-sonnet-4-5"}, "anthropic/claude-sonnet-4-5"),
    ],
)
def test_a_key_or_an_address_is_enough_for_a_real_model(given: dict[str, str], model: str):
    assert Settings.from_environ(GOOD | given).model == model


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
