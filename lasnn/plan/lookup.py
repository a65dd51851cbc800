"""Names to objects, with an error that lists the known names."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from lasnn.errors import InputError

Value = TypeVar("Value")


def known(names: Iterable[str], name: str, kind: str) -> str:
    """`name` itself if it is one of `names`; else an InputError that lists them and the nearest one."""
    names = sorted(names)
    if name in names:
        return name
    near = get_close_matches(str(name), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(f"unknown {kind} {name!r}: known are {', '.join(names)}{hint}")


def given(value: Value | None) -> Value:
    """`value`, which is there by what the run is: a section that its method reads, a teacher that it has."""
    if value is None:
        raise TypeError("nothing was given where the run's method says that something is")
    return value


def pick(table: Mapping[str, Value], name: str, kind: str) -> Value:
    """The entry of `table` called `name`."""
    return table[known(table, name, kind)]
