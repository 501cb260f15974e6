"""A model's bytes: a pickle of plain data, read by an unpickler that can make arrays and nothing else.

A pickle is a program. Before it runs, its instructions are gone through: only those that plain
data needs are there, and each has all the bytes it says it has, so none makes room for what will not come.
Then two names stand for two functions of our own: one that names a type, one that makes an array of
that type over bytes that are there, in exactly their number. `stored` checks what comes of it.

The seal is checked before all of this (`seals`); this is for the day on which a key is lost.
"""

import io
import math
import pickle
import pickletools
from itertools import islice
from typing import Any

import numpy as np

from core.learning.learner.model import Model
from core.learning.models.stored import ARRAYS, MAX_BYTES, DamagedModelError, plain, restored

MAX_FILE_BYTES = MAX_BYTES + (1 << 20)
PROTOCOL = 5
MAX_INSTRUCTIONS = 10_000  # a model has some 700
INSTRUCTIONS = frozenset({
    "PROTO", "FRAME", "STOP", "MEMOIZE", "BINGET", "LONG_BINGET",
    "EMPTY_DICT", "MARK", "SETITEMS", "EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "TUPLE",
    "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1",
    "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8",
    "STACK_GLOBAL", "REDUCE", "BUILD",
})  # fmt: skip
_TYPES = {np.dtype(code).str[1:]: np.dtype(code) for code, _ in ARRAYS.values()}
_ORDINARY = (3, None, None, None, -1, -1, 0)  # state of a plain dtype, without its byte order


def to_bytes(model: Model) -> bytes:
    """Return a model as bytes."""
    data: dict[str, Any] = {
        name: np.ascontiguousarray(value) if name in ARRAYS else value
        for name, value in plain(model).items()
    }
    return pickle.dumps(data, PROTOCOL)


def from_bytes(data: bytes) -> Model:
    """Return the model. Raises DamagedModelError, and runs nothing, whatever the bytes are."""
    if len(data) > MAX_FILE_BYTES:
        raise DamagedModelError(f"the model is damaged: over {MAX_FILE_BYTES:,} bytes")
    _check_instructions(data)
    try:
        found = _Unpickler(io.BytesIO(data)).load()
    except DamagedModelError:
        raise
    except Exception as error:  # whatever a wrong order of right instructions leads to
        raise DamagedModelError("the model is damaged: no plain data") from error
    return restored(found)


def _check_instructions(data: bytes) -> None:
    """Raise DamagedModelError for what plain data does not need, and for bytes that are not there."""
    try:
        found = islice(pickletools.genops(io.BytesIO(data)), MAX_INSTRUCTIONS + 1)
        names = [instruction.name for instruction, _, _ in found]
    except Exception as error:  # ValueError mostly
        raise DamagedModelError("the model is damaged: cut or no pickle") from error
    if len(names) > MAX_INSTRUCTIONS or not INSTRUCTIONS.issuperset(names):
        raise DamagedModelError("the model is damaged: it does more than hold data")


class _Sealed:
    """What a pickle can change nothing of: it has no attributes, and takes no state."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise DamagedModelError("the model is damaged: it would change more than data")


class _Type:
    """Stands for a dtype while its pickle is read: only an ordinary one, of those a model has."""

    __slots__ = ("dtype",)

    def __init__(self, code: str) -> None:
        if code not in _TYPES:
            raise DamagedModelError("the model is damaged: an array of a type that no model has")
        self.dtype = _TYPES[code]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        version, order, *rest = state
        if (version, *rest) != _ORDINARY or order not in ("<", "|"):
            raise DamagedModelError("the model is damaged: no ordinary type")


class _MakesType(_Sealed):
    """In the place of `numpy.dtype`."""

    __slots__ = ()

    def __call__(self, code: str, align: bool, copy: bool, /) -> _Type:
        del align, copy
        return _Type(code)


class _MakesArray(_Sealed):
    """In the place of numpy's `_frombuffer`: an array over bytes that are just as many as it needs."""

    __slots__ = ()

    def __call__(
        self, buffer: bytes | bytearray, of: _Type, shape: tuple[int, ...], order: str, /
    ) -> Any:
        whole = order in ("C", "F") and all(type(size) is int and size >= 0 for size in shape)
        if not whole or math.prod(shape) * of.dtype.itemsize != len(buffer):
            raise DamagedModelError("the model is damaged: an array of another size than its bytes")
        array: Any = np.frombuffer(buffer, of.dtype)
        return array.reshape(shape, order=order)


_GLOBALS = {("numpy._core.numeric", "_frombuffer"): _MakesArray(), ("numpy", "dtype"): _MakesType()}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        """Return one of two functions of our own."""
        if (module, name) not in _GLOBALS:
            raise DamagedModelError("the model is damaged: it names what no data needs")
        return _GLOBALS[module, name]
