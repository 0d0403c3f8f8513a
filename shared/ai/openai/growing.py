"""Objects assembled from pieces: the time for a piece depends on the piece's size only, not on the size so far.

The merge is that of OpenAI's SDKs, except for texts that every piece repeats. Texts are joined, lists are merged by
`index` where the items have one, everything else is replaced. Null and an empty text replace nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.ai.openai.passthrough import Json

GROWING = frozenset(
    {
        *("content", "refusal", "reasoning_content", "reasoning", "thinking", "text", "summary"),
        *("arguments", "input", "partial_json", "transcript"),
    }
)
"""Texts that come in pieces."""
REPLACED = frozenset({"id", "type", "role", "index", "name", "format", "status"})
"""Texts that each piece repeats in full."""


class GrowingText:
    """A text in pieces."""

    __slots__ = ("_pieces",)

    def __init__(self, begun: str = "") -> None:
        self._pieces = [begun]

    def add(self, piece: str) -> None:
        """Join a piece to the end."""
        self._pieces.append(piece)

    @property
    def whole(self) -> str:
        """All pieces as one text."""
        self._pieces = ["".join(self._pieces)]
        return self._pieces[0]


class RepeatedText(GrowingText):
    """Text that may grow or repeat. If all pieces are equal, the text is one piece, else the joined pieces."""

    __slots__ = ("_is_repeated",)

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[str] = []
        self._is_repeated = True

    def add(self, piece: str) -> None:
        """Append a piece, and notice a piece that differs from the first."""
        self._is_repeated = self._is_repeated and piece == (self._pieces or [piece])[0]
        self._pieces.append(piece)

    @property
    def whole(self) -> str:
        """Single piece if all pieces are equal, else all pieces joined."""
        return self._pieces[0] if self._is_repeated else "".join(self._pieces)


class GrowingList:
    """A list: items with the `index` of an earlier item are merged with that item, others come behind."""

    __slots__ = ("_by_index", "_items")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._by_index: dict[Any, GrowingObject] = {}

    def add(self, items: Sequence[Any]) -> None:
        """Take in the items of a piece."""
        for item in items:
            if not isinstance(item, Mapping) or not isinstance(index := item.get("index", False), int | str | None):
                self._items.append(item)
            elif index in self._by_index:
                self._by_index[index].add(item)
            elif "index" in item:
                self._by_index[index] = own = GrowingObject()
                own.add(item)
                self._items.append(own)
            else:
                self._items.append(item)

    @property
    def whole(self) -> list[Any]:
        """The list as plain values."""
        return [item.whole if isinstance(item, GrowingObject) else item for item in self._items]


class GrowingObject:
    """An object whose members grow."""

    __slots__ = ("_members",)

    def __init__(self) -> None:
        self._members: dict[str, Any] = {}

    def add(self, delta: Json) -> None:
        """Merge a piece into the members."""
        for name, value in delta.items():
            if isinstance(value, str) and name in GROWING:
                self._grown(name, GrowingText).add(value)
            elif isinstance(value, str) and value and name not in REPLACED:
                self._grown(name, RepeatedText).add(value)
            elif isinstance(value, Mapping):
                self._grown(name, GrowingObject).add(value)
            elif isinstance(value, list):
                self._grown(name, GrowingList).add(value)
            elif value not in (None, "") or name not in self._members:
                self._members[name] = value

    def _grown(self, name: str, kind: type[Any]) -> Any:
        """Return the member of this name. If there is none of this kind, create the member."""
        if not isinstance(self._members.get(name), kind):
            self._members[name] = kind()
        return self._members[name]

    @property
    def whole(self) -> dict[str, Any]:
        """The object as plain values."""
        return {name: _whole(value) for name, value in self._members.items()}


def _whole(value: Any) -> Any:
    return value.whole if isinstance(value, GrowingText | GrowingList | GrowingObject) else value
