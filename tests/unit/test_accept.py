"""Weighted lists, and the content-coding that is agreed on."""

import gzip

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions._http import accept, compression


def test_names_have_the_weights_they_are_given_and_1_without_any():
    field = "text/html;level=1;Q=0.30 , Gzip;q=1.000,*;q=0 ,br"
    assert accept.weights(field) == {"text/html": 0.3, "gzip": 1, "*": 0, "br": 1}


@pytest.mark.parametrize("member", ["a;q=2", "a;q=-1", "a;q=x", "a;q=", "a;q=0.1234", ";q=1", ""])
def test_a_member_with_a_wrong_weight_is_left_out(member: str):
    assert accept.weights(f"{member},b") == {"b": 1}


@given(st.text(max_size=600))
def test_any_text_is_read(field: str):
    assert all(0 <= weight <= 1 for weight in accept.weights(field).values())
    assert compression.chosen(field).name in {None, *compression.CODERS}


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.integers(0, 1000)))
def test_what_was_written_is_read(weights: dict[str, int]):
    field = ", ".join(f"{name};q={weight / 1000:.3f}" for name, weight in weights.items())
    if len(field) <= accept.FIELD_CHARACTERS:
        assert accept.weights(field) == {name: w / 1000 for name, w in weights.items()}


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("deflate, gzip;q=0.1", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0.000, identity", None),
        ("gzip;q=0.5, identity;q=0.6", None),
        ("gzip;q=0.5, identity;q=0.5", "gzip"),
        ("gzip;q=0.001", "gzip"),
        ("*;q=0", None),
        ("*;q=0, gzip", "gzip"),
        ("gzip;q=0, br;q=0, *", None),
        ("identity;q=0", None),
        ("compress", None),
        ("x" * 600 + ", gzip", None),
    ],
)
def test_the_coding_that_is_liked_best_is_chosen(field: str, name: str | None):
    assert compression.chosen(field).name == name


def test_the_shorter_coding_wins_where_all_are_welcome():
    best = next(iter(compression.CODERS))
    assert compression.chosen("*").name == compression.chosen("gzip, deflate, br").name == best


def test_who_refuses_plain_bytes_gets_even_short_ones_coded():
    assert compression.chosen("gzip, identity;q=0") == ("gzip", 0)
    assert compression.chosen("gzip, *;q=0") == ("gzip", 0)


@given(st.binary())
def test_what_is_coded_can_be_read_again(body: bytes):
    assert gzip.decompress(compression.CODERS["gzip"](body)) == body


def test_brotli_is_read_again_too():
    assert brotli.decompress(compression.CODERS["br"](b"a" * 2000)) == b"a" * 2000
