"""Answers of odd providers, made from OpenAI's own: each member, one at a time, is missing or holds another value."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

OTHERS: tuple[Any, ...] = (None, "", "odd", 7, 1.5, True, [], ["odd"], [{"odd": 1}], {}, {"odd": 1})
MISSING = object()
Path = tuple[str | int, ...]


def mutations(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each changed copy of a JSON value, with a name for the change."""
    for path in paths(value):
        for other in (MISSING, *OTHERS):
            if (changed := _changed(value, path, other)) is not None:
                yield f"{'.'.join(map(str, path))} = {'nothing' if other is MISSING else repr(other)}", changed


def paths(value: Any, here: Path = ()) -> Iterator[Path]:
    """Yield the place of each member in a JSON value, at any depth."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in members:
        yield (*here, name)
        yield from paths(inner, (*here, name))


def _changed(value: Any, path: Path, other: Any) -> Any:
    copy = deepcopy(value)
    holder = copy
    for name in path[:-1]:
        holder = holder[name]
    if other is MISSING:
        del holder[path[-1]]
    elif holder[path[-1]] == other and type(holder[path[-1]]) is type(other):
        return None
    else:
        holder[path[-1]] = deepcopy(other)
    return copy
