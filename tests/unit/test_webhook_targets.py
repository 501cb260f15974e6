"""Which URLs a webhook may have."""

import pytest

from core.errors import InvalidInputError
from core.webhooks.targets import Target, Targets

TARGETS = Targets(
    {
        "acme": ("hooks.example.com", "Odd.example.com:8443", "http://127.0.0.1:9000", "[2001:db8::1]"),
        "other": ("elsewhere.example.com",),
    }
)  # fmt: skip


def test_a_listed_host_is_called_over_https_at_its_port():
    assert TARGETS.target("acme", "https://hooks.example.com/a?b=c") == Target(
        "https", "hooks.example.com", 443, "/a?b=c"
    )
    assert TARGETS.target("acme", "HTTPS://HOOKS.example.com:443").path == "/"
    assert TARGETS.target("acme", "https://odd.example.com:8443/x").port == 8443
    assert TARGETS.target("acme", "https://[2001:db8::1]/x").host == "2001:db8::1"


def test_only_an_exact_local_origin_may_be_plain_http():
    assert TARGETS.target("acme", "http://127.0.0.1:9000/x") == Target(
        "http", "127.0.0.1", 9000, "/x", local=True
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://hooks.example.com:8443/",
        "https://hooks.example.com:99999/",
        "https://odd.example.com/",
        "https://elsewhere.example.com/",
        "https://sub.hooks.example.com/",
        "https://hooks.example.com.evil.com/",
        "https://hooks.example.com./",
        "https://evil.com/hooks.example.com",
        "https://evil.com#@hooks.example.com/",
        "https://evil.com\\@hooks.example.com/",
        "https://me@hooks.example.com/",
        "https://me:word@hooks.example.com/",
        "https://hooks.example.com/#part",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/a\r\nx: y",
        "https://hooks.exa\tmple.com/",
        "https://höoks.example.com/",
        "https://hooks.example.com/" + "x" * 2048,
        "http://127.0.0.1:9001/",
        "https://127.0.0.1:9000/",
        "http://localhost:9000/",
        "http://2130706433:9000/",
        "http://0x7f.1:9000/",
        "http://[::ffff:127.0.0.1]:9000/",
        "https://169.254.169.254/latest/meta-data/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "https://",
        "https://[",
        "hooks.example.com",
        "",
    ],
)
def test_every_other_url_is_refused(url: str):
    with pytest.raises(InvalidInputError) as refused:
        TARGETS.target("acme", url)
    assert url == "" or url not in str(refused.value)


def test_a_tenant_without_a_list_calls_nobody():
    with pytest.raises(InvalidInputError):
        TARGETS.target("nobody", "https://hooks.example.com/")


def test_a_check_names_those_that_are_refused():
    urls = {"/a": "https://hooks.example.com/", "/b": "https://evil.com/"}
    with pytest.raises(InvalidInputError) as refused:
        TARGETS.check("acme", urls)
    assert list(refused.value.pointers) == ["/b"]
    TARGETS.check("acme", {"/a": urls["/a"]})


@pytest.mark.parametrize("entry", ["", "a b", "http://a", "https://a/b", "a/b", "*.a.com", "me@a"])
def test_an_entry_that_means_nothing_is_refused(entry: str):
    with pytest.raises(ValueError, match="neither a host nor"):
        Targets({"acme": (entry,)})
