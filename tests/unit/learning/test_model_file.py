"""A model's bytes: what was written is read back; whatever else they are, they are refused and run nothing."""

import os
import pickle
import pickletools
import resource
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.adapters.scikit_learn import fit
from core.learning.learner import Learner
from core.learning.models.model_file import INSTRUCTIONS, from_bytes, to_bytes
from core.learning.models.stored import DamagedModelError, plain
from core.learning.patterns import Pattern
from tests.unit.learning.test_learner import stream, user

ROOT = Path(__file__).parents[3]
HUGE = 37 * 10**9
MODEL = fit([Pattern(c, a, user(f"u{n % 5}")) for n, (c, a) in enumerate(stream(40))], version=7)
DATA = to_bytes(MODEL)


class _Runs:
    """A pickle of this runs a command when it is read."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


class _Calls:
    """A pickle of this calls whatever it is given."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def header(code: str, size: int) -> bytes:
    """A pickle that says how many bytes follow, and has none."""
    return b"\x80\x05" + code.encode("latin-1") + struct.pack("<Q", size)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no pickle": lambda: b"PK\x03\x04" * 20,
    "cut": lambda: DATA[:-10],
    "cut in an array": lambda: DATA[: len(DATA) // 2],
    "another module's function": lambda: pickle.dumps(_Calls(len, "abc")),
    "an array of objects": lambda: pickle.dumps({"weights": np.array([{}, {}], object)}),
    "an array of numpy's zeros": lambda: pickle.dumps(_Calls(np.zeros, (HUGE,))),
    "a list": lambda: pickle.dumps([1, 2]),
    "a number": lambda: pickle.dumps(3),
    "bytes that do not come": lambda: header("\x8e", HUGE),
    "a bytearray that does not come": lambda: header("\x96", HUGE),
    "a text that does not come": lambda: header("\x8d", HUGE),
    "a frame that does not come": lambda: header("\x95", HUGE) + b".",
    "a place in the memo for all memory": lambda: b"\x80\x05Nr\xff\xff\xff\xff.",
    "a long memo name": lambda: b"(lp4294967290\n.",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_model_is_refused_in_words(kind: str):
    with pytest.raises(DamagedModelError, match="damaged"):
        from_bytes(HOSTILE[kind]())


def test_what_was_written_is_read_back():
    again = from_bytes(DATA)
    answers = [
        Learner(one).recommend({"task": "route", "message": "bill"}) for one in (again, MODEL)
    ]
    assert [answer.actions[0].action for answer in answers] == [answers[0].actions[0].action] * 2
    assert again.kept == MODEL.kept
    assert to_bytes(again) == DATA


def test_any_unpickler_reads_what_we_write():
    data = pickle.loads(DATA)  # noqa: S301  # our own
    assert data.keys() == plain(MODEL).keys()
    assert (data["counts"] == MODEL.counts).all()


def test_a_model_needs_no_instruction_beyond_the_list():
    used = {instruction.name for instruction, _, _ in pickletools.genops(DATA)}
    assert used <= INSTRUCTIONS
    assert not INSTRUCTIONS & {
        "GLOBAL",
        "INST",
        "OBJ",
        "NEWOBJ",
        "NEWOBJ_EX",
        "PERSID",
        "EXT1",
        "PUT",
        "LONG_BINPUT",
    }


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_a_command_runs_nothing(tmp_path: Path, protocol: int):
    marker = tmp_path / "ran"
    attack = pickle.dumps({"weights": _Runs(f"touch {marker}")}, protocol)
    with pytest.raises(DamagedModelError, match="damaged"):
        from_bytes(attack)
    assert not marker.exists()
    pickle.loads(attack)  # noqa: S301  # the attack is one
    assert marker.exists()


def test_a_state_for_one_of_the_two_functions_is_refused():
    for name in (b"\x8c\x05numpy\x8c\x05dtype", b"\x8c\x13numpy._core.numeric\x8c\x0b_frombuffer"):
        attack = b"\x80\x05" + name + b"\x93N}\x8c\x07__doc__\x8c\x01xs\x86b."
        with pytest.raises(DamagedModelError, match="damaged"):
            from_bytes(attack)


def test_an_array_larger_than_its_bytes_is_refused_before_it_is_made():
    """`weights` says that it has a hundred thousand million columns."""
    large = _Calls(np.zeros(1).__reduce_ex__(5)[0], b"\0" * 8, np.dtype("f4"), (1 << 14, HUGE), "C")
    with pytest.raises(DamagedModelError, match="another size"):
        from_bytes(pickle.dumps({"weights": large, "counts": large}, 5))


def test_none_of_them_takes_memory():
    """In a process that may have 2 GB of address space, though one asks for 37 GB."""
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from tests.unit.learning.test_model_file import HOSTILE, DamagedModelError, from_bytes\n"
        "for name, make in HOSTILE.items():\n"
        "    try:\n"
        "        from_bytes(make()); sys.exit(name)\n"
        "    except DamagedModelError as error:\n"
        "        assert not isinstance(error.__cause__, MemoryError), name\n"
    )
    limit = 2 * 1024**3

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, preexec_fn=bounded,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_changed_byte_is_read_as_a_model_or_refused_and_nothing_else(data: st.DataObject):
    at = data.draw(st.integers(0, min(2_000, len(DATA) - 1)))
    changed = bytearray(DATA)
    changed[at] ^= data.draw(st.integers(1, 255))
    with suppress(DamagedModelError):
        from_bytes(bytes(changed))
