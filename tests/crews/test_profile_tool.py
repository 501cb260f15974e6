"""The tool reads a bounded part of an input, and no file holds up the process that asks for it."""

import io
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crews.import_mapping import profile_process
from crews.import_mapping.errors import BadCsv
from crews.import_mapping.sample import READ_BYTES
from crews.import_mapping.tools import profile_csv

LARGE = b"name,street\n" + b"abc,1\n" * 50_000
HUGE = b"name,street\n" + b"abc,1\n" * 500_000


class Inputs:
    """A context with one input; counts what is read of it."""

    def __init__(self, data: bytes, seconds: float = 60) -> None:
        self.stream, self._size = io.BytesIO(data), len(data)
        self.insights, self._ends = list[str](), time.monotonic() + seconds

    def open(self, input_id: str) -> io.BytesIO:
        assert input_id == "in_1"
        self.stream.close = lambda: None  # type: ignore[method-assign] -- its position is asked for
        return self.stream

    def size(self, input_id: str) -> int:
        assert input_id == "in_1"
        return self._size

    def seconds_left(self) -> float:
        return self._ends - time.monotonic()

    def tell(self, insight: str) -> None:
        self.insights.append(insight)


def used(call: Callable[[], object]) -> float:
    """Return the processor time that this process spent in a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


@pytest.mark.parametrize("data", [b"a,b\n1,2\n", LARGE])
def test_the_tool_opens_the_input_by_its_id_and_answers_in_json(data: bytes):
    inputs = Inputs(data)
    rows = data.count(b"\n") - 1
    assert json.loads(profile_csv(inputs, file="in_1"))["rows"] == rows
    assert inputs.insights == [f"The file holds {rows} rows of 2 columns, in utf-8."]


def test_what_was_mended_or_guessed_is_told_within_the_bound_of_an_insight():
    inputs = Inputs(("x" * 300 + ",").encode() * 40 + b"b\n" + b"1," * 40 + b"2\n")
    notes = json.loads(profile_csv(inputs, file="in_1"))["notes"]
    [insight] = inputs.insights
    assert len(notes) == 40
    assert insight.count("\n- column ") == 5
    assert len(insight) < 2_000


def test_of_a_huge_file_a_bounded_part_is_read_and_its_share_is_told():
    inputs = Inputs(HUGE)
    found = json.loads(profile_csv(inputs, file="in_1"))
    assert (found["bytes_read"], found["bytes"]) == (READ_BYTES, len(HUGE))
    assert inputs.stream.tell() < READ_BYTES * 1.2
    [insight] = inputs.insights
    assert insight.startswith(f"The first {found['rows']} rows of the file, 2.1 of its 3.0 MB,")


def test_a_large_file_takes_no_time_of_the_process_that_asks():
    assert used(lambda: profile_csv(Inputs(LARGE), file="in_1")) < 0.1


def test_what_is_no_csv_is_refused_in_the_same_words_by_a_process_of_its_own():
    with pytest.raises(BadCsv, match="each row on its own line"):
        profile_csv(Inputs(b"a,b\n" + b"x," * 1_000_000), file="in_1")


def test_a_call_without_time_left_ends_and_leaves_no_process():
    before = children()
    with pytest.raises(TimeoutError):
        profile_csv(Inputs(HUGE, seconds=0.3), file="in_1")
    assert children() <= before


def children() -> set[str]:
    """The processes that this one has started, and not seen the end of."""
    lists = Path("/proc/self/task").glob("*/children")
    return {process for each in lists for process in each.read_text().split()}


def test_who_waits_for_a_place_gives_up_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(profile_process, "_places", threading.BoundedSemaphore(1))
    with profile_process._places, pytest.raises(TimeoutError):
        profile_csv(Inputs(LARGE, seconds=0.3), file="in_1")


def test_a_process_gets_no_secret_of_its_parent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CREWLINE_SECRET", "s3cret")
    started = list[dict[str, str]]()
    popen = profile_process.subprocess.Popen

    def noted(*given: object, **more: object) -> object:
        started.append(more["env"])  # type: ignore[arg-type]
        return popen(*given, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(profile_process.subprocess, "Popen", noted)
    profile_csv(Inputs(LARGE), file="in_1")
    assert "s3cret" not in str(started)
    assert started
