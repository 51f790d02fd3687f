"""Pickles of plain data, read by a machine that knows no more than that, so that they can make it do nothing else.

Python's ``pickle`` calls whatever a file names, which is how a file of weights can take over a computer. This machine has the
pickle language's instructions for containers, numbers, strings and bytes. An instruction that names something gets it from a
table that the caller gives; one that calls something calls what came from that table, and nothing else.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple


class Refused(ValueError):
    """The pickle holds more than plain data."""


class Named(NamedTuple):
    """What a name in a pickle stands for: a value, or a function that the pickle may call."""

    name: str
    value: Any


_MARK = object()

#: Instructions whose argument is the value.
_VALUES = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
    "MARK": lambda: _MARK,
}
_OF_LAST: dict[str, int] = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_OF_MARKED: dict[str, Callable[[list[Any]], Any]] = {
    "TUPLE": tuple,
    "LIST": list,
    "FROZENSET": lambda items: frozenset(map(_key, items)),
    "DICT": lambda items: dict(_pairs(items)),
}


def unpickle(stream: Any, names: Mapping[str, Any], persistent: Callable[[Any], Any]) -> Any:
    """Read one pickle.

    Args:
        stream: a file, or a mapped one, where the pickle begins; afterwards, where it ends.
        names: what the names that may occur stand for, by module and name, such as ``"collections.OrderedDict"``.
        persistent: gives what lies outside the pickle, by the identification in it.

    Raises:
        Refused: the pickle names what is not in ``names``, or uses an instruction that plain data doesn't need.
        ValueError: the pickle is damaged.
    """
    try:
        return _run(stream, names, persistent)
    except Refused:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"the pickle in it is damaged ({type(error).__name__}: {error})") from error


def _run(stream: Any, names: Mapping[str, Any], persistent: Callable[[Any], Any]) -> Any:
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    instructions: Iterator[Any] = pickletools.genops(stream)
    for instruction, argument, _ in instructions:
        code = instruction.name
        if code in _VALUES:
            stack.append(argument)
        elif code in _CONSTANTS:
            stack.append(_CONSTANTS[code]())
        elif code in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[int(argument)] = stack[-1]
        elif code == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif code in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[int(argument)])
        elif code in _OF_LAST:
            stack.append(tuple(_last(stack, _OF_LAST[code])))
        elif code in _OF_MARKED:
            stack.append(_OF_MARKED[code](_marked(stack)))
        elif code in ("SETITEM", "SETITEMS"):
            items = _last(stack, 2) if code == "SETITEM" else _marked(stack)
            _target(stack, dict).update(_pairs(items))
        elif code in ("APPEND", "APPENDS"):
            items = _last(stack, 1) if code == "APPEND" else _marked(stack)
            _target(stack, list).extend(items)
        elif code == "ADDITEMS":
            items = _marked(stack)
            _target(stack, set).update(map(_key, items))
        elif code in ("GLOBAL", "STACK_GLOBAL"):
            name = argument.replace(" ", ".") if code == "GLOBAL" else ".".join(_last(stack, 2))
            if name not in names:
                raise Refused(name)
            stack.append(Named(name, names[name]))
        elif code == "REDUCE":
            function, arguments = _last(stack, 2)
            if type(function) is not Named or not callable(function.value):
                raise Refused(f"a call of {_what(function)}")
            stack.append(function.value(*arguments))
        elif code == "BUILD":
            # an object's attributes, of which a dict has none that we keep: PyTorch's versions of modules
            stack.pop()
            _target(stack, dict)
        elif code == "BINPERSID":
            stack.append(persistent(stack.pop()))
        elif code == "POP":
            stack.pop()
        elif code == "STOP":
            return _last(stack, 1)[0]
        elif code not in ("PROTO", "FRAME"):
            raise Refused(f"the instruction {code}{'' if argument is None else f' {argument}'}")
    raise ValueError("it has no end")


def _last(stack: list[Any], n: int) -> list[Any]:
    """Take the last n values from the stack."""
    values = stack[-n:]
    if len(values) < n or any(value is _MARK for value in values):
        raise ValueError("a value is missing")
    del stack[-n:]
    return [value.value if type(value) is Named and not callable(value.value) else value for value in values]


def _marked(stack: list[Any]) -> list[Any]:
    """Take the values after the last mark from the stack, and the mark."""
    start = next((i for i in range(len(stack) - 1, -1, -1) if stack[i] is _MARK), None)
    if start is None:
        raise ValueError("a mark is missing")
    values = _last(stack, len(stack) - 1 - start) if start < len(stack) - 1 else []
    stack.pop()
    return values


def _target(stack: list[Any], kind: type) -> Any:
    """The value that an instruction adds to, and leaves on the stack."""
    if type(stack[-1]) is not kind:
        raise Refused(f"a change of {_what(stack[-1])}, which is no {kind.__name__}")
    return stack[-1]


def _pairs(items: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(map(_key, items[::2]), items[1::2], strict=True))


def _key(value: Any) -> Any:
    """A value as a key of a dict or a set: tuples in tuples may be so deep that Python crashes over their hash."""
    if isinstance(value, tuple) and any(isinstance(part, tuple) for part in value):
        raise Refused("a key of tuples in tuples")
    return value


def _what(value: Any) -> str:
    """A value in a message. Its contents are left out: they may be in each other so often that no memory holds the text."""
    return value.name if isinstance(value, Named) else f"a value of type {type(value).__name__}"
