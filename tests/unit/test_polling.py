"""Prefer: wait=N in all the forms that RFC 7240 allows, and some that it does not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions._polling import wait_seconds


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        ("wait=10", 10),
        ("WAIT=10", 10),
        ("wait = 10", 10),
        ('wait="10"', 10),
        (r'wait="1\0"', 10),
        ("wait=0", 0),
        ("respond-async, wait=10", 10),
        ("respond-async,wait=10;foo=bar; baz", 10),
        ('foo="a, wait=3; \\" wait=4", wait=10', 10),
        ("foo; wait=3, wait=10", 10),
        ("wait=10, wait=20", 10),
        (" ,, wait=10 ,", 10),
        ("lenient=, wait=10", 10),
        ("wait=x, wait=10", None),
        ("wait", None),
        ("wait=", None),
        ('wait=""', None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=1 0", None),
        ("wait=\u0663", None),
        ("wait=9999999999", None),
        ("await=10", None),
        ("=10", None),
        ("", None),
        ("x" * 600 + ", wait=10", None),
    ],
)
def test_the_first_wait_counts_if_it_is_a_number(field: str, seconds: int | None):
    assert wait_seconds(field) == seconds


@given(st.text(max_size=600))
def test_any_text_is_read(field: str):
    assert (wait_seconds(field) or 0) >= 0


quoted = st.text('ab ,;=\\"', max_size=10).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
other = st.tuples(st.sampled_from(["foo", "handling", "waiting"]), st.just("") | quoted)


@given(st.lists(other, max_size=5), st.integers(0, 10**9 - 1), st.lists(other, max_size=5))
def test_it_is_found_wherever_it_stands(before: list, seconds: int, after: list):
    members = [f"{name}={value}; p={value}" for name, value in before]
    members += [f"wait={seconds}"]
    members += [f"{name}={value}" for name, value in after]
    if len(field := ", ".join(members)) <= 512:
        assert wait_seconds(field) == seconds


@pytest.mark.parametrize("field", ['"\\' * 256, "a=" + "; \t" * 170, "a" + " " * 511, '"' * 511])
def test_a_hostile_field_costs_little(field: str):
    before = time.process_time()
    wait_seconds(field)
    assert time.process_time() - before < 0.05
