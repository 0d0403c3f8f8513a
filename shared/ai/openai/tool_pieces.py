"""Tool calls assembled from pieces: the call that a piece belongs to, and the addition that a piece brings. Pure.

OpenAI numbers calls by `index`. Other providers send no index, a null index, or zero for every call. They send an id
only in the first piece, or `""` and null later. They send all arguments at once, or as an object. So an id decides
first, then the index, then the order. If a name is repeated with arguments behind whole arguments, another call begins.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from shared.ai.openai.passthrough import Json

KINDS = ("function", "custom")
ARGUMENT_NAMES = ("arguments", "parameters", "input")
"""Names of the arguments in providers' calls. OpenAI names the arguments of a function by the first."""
OWN = frozenset({"index", "id", "type", *KINDS})
NOTHING = "{}"
WHOLE_CHARACTERS_MAX = 65_536
ENDS = frozenset({"}", "]", '"'})
ARGUMENTS = {"function": "arguments", "custom": "input"}


class GrowingCall:
    """Tool call that grows with each piece. `index` is the provider's number of the call, None if there is none."""

    __slots__ = ("arguments", "id", "index", "is_kept_back", "name", "size")

    def __init__(self, index: int | None, own_id: str, name: str) -> None:
        self.index = index
        self.id = own_id
        self.name = name
        self.arguments: list[str] = []
        self.size = 0
        self.is_kept_back = False
        """True while the arguments are `{}` and not delivered: some providers begin every call so."""

    def begin(self, arguments: str) -> str:
        """Begin the call with these arguments. Return the text to deliver now; "" if the text is kept back."""
        self.add(arguments)
        self.is_kept_back = arguments.strip() == NOTHING
        return "" if self.is_kept_back else arguments

    def go_on(self, arguments: str) -> str:
        """Append text to the arguments. Return the text to deliver now, with any text that was kept back."""
        if not self.is_kept_back:
            self.add(arguments)
            return arguments
        self.is_kept_back = False
        if not arguments.lstrip().startswith(NOTHING[0]):
            self.add(arguments)
            return NOTHING + arguments
        self.arguments, self.size = [arguments], len(arguments)
        return arguments

    def add(self, arguments: str) -> None:
        """Append text to the arguments."""
        self.arguments.append(arguments)
        self.size += len(arguments)

    def says(self, arguments: str) -> bool:
        """Return True if `arguments` equals the arguments so far."""
        return self.size == len(arguments) and "".join(self.arguments) == arguments

    @property
    def is_whole(self) -> bool:
        """Return True if the arguments so far are JSON. If they exceed WHOLE_CHARACTERS_MAX, return False unparsed."""
        if self.size > WHOLE_CHARACTERS_MAX or not self.arguments or self.arguments[-1].rstrip()[-1:] not in ENDS:
            return False
        try:
            orjson.loads("".join(self.arguments))
        except ValueError:
            return False
        return True


class ToolCalls:
    """Calls of one choice, numbered in the order of their beginnings."""

    def __init__(self) -> None:
        self._calls: list[GrowingCall] = []

    def __len__(self) -> int:
        """Return the number of calls."""
        return len(self._calls)

    def take(self, pieces: Sequence[Any], made_up_id: str) -> list[Json]:
        """Return the additions of these pieces, in OpenAI's shape. `made_up_id` begins the ids of calls without any."""
        taken = [self._taken(piece, made_up_id) for piece in pieces if isinstance(piece, Mapping)]
        return [each for each in taken if each is not None]

    def take_whole(self, calls: Sequence[Any], made_up_id: str) -> list[Json]:
        """Return the calls of a whole message: each is a separate call, even if ids repeat."""
        return [self._begun(call, made_up_id, is_whole=True) for call in calls if isinstance(call, Mapping)]

    def rest(self) -> list[Json]:
        """Return the additions to the calls, in OpenAI's shape, that were kept back until the choice has ended."""
        left = [at for at, call in enumerate(self._calls) if call.is_kept_back]
        for at in left:
            self._calls[at].is_kept_back = False
        return [{"index": at, "function": {"arguments": NOTHING}} for at in left]

    def _taken(self, piece: Json, made_up_id: str) -> Json | None:
        """Return the piece as a delta of the tool call to which it belongs, or None if the piece adds nothing to the
        call.
        """
        kind, inner = inner_of(piece)
        arguments = arguments_text(inner.get(ARGUMENTS[kind]))
        call = self._call_of(piece, arguments)
        if call is None:
            return self._begun(piece, made_up_id)
        if arguments and _text(piece.get("id")) and call.says(arguments) and call.is_whole:
            return None  # the whole call, said again
        added: dict[str, Any] = beside_of(piece, kind)
        more: dict[str, Any] = {n: v for n, v in inner.items() if n not in {"name", ARGUMENTS[kind]} and v is not None}
        if not call.name and (name := _text(inner.get("name"))):
            call.name = more["name"] = name
        if arguments:
            more[ARGUMENTS[kind]] = call.go_on(arguments)
        if not added and not more:
            return None
        return {"index": self._calls.index(call), **added, **({kind: more} if more else {})}

    def _begun(self, piece: Json, made_up_id: str, *, is_whole: bool = False) -> Json:
        """Return the first piece of a new call."""
        kind, inner = inner_of(piece)
        arguments = arguments_text(inner.get(ARGUMENTS[kind]))
        own_id, name = _text(piece.get("id")), _text(inner.get("name"))
        call = GrowingCall(_index(piece), own_id, name)
        told_arguments = call.begin(arguments)
        if is_whole or kind != KINDS[0]:
            told_arguments, call.is_kept_back = arguments, False
        self._calls.append(call)
        at = len(self._calls) - 1
        more = beside_of(piece, kind)
        beside = {n: v for n, v in inner.items() if n not in {"name", ARGUMENTS[kind]} and v is not None}
        told = {"name": name, ARGUMENTS[kind]: told_arguments, **beside}
        return {"index": at, "id": own_id or f"{made_up_id}_{at}", "type": kind, kind: told, **more}

    def _call_of(self, piece: Json, arguments: str) -> GrowingCall | None:
        """Return the call that a piece continues; None if the piece begins another call."""
        if not self._calls:
            return None
        _, inner = inner_of(piece)
        own_id, name, index = _text(piece.get("id")), _text(inner.get("name")), _index(piece)
        known = self._known(own_id, name, index)
        if known is None or not name or not arguments or not known.name:
            return known
        is_said_again = bool(own_id) and known.says(arguments)
        is_to_go_on = is_said_again or (bool(own_id) and known.is_kept_back)
        return None if known.is_whole and not is_to_go_on else known

    def _known(self, own_id: str, name: str, index: int | None) -> GrowingCall | None:
        numbered = None if index is None else next((c for c in reversed(self._calls) if c.index == index), None)
        if not own_id:
            return self._calls[-1] if index is None else numbered
        same = [call for call in self._calls if call.id == own_id]
        if same:
            return same[-1] if index is None else next((c for c in same if c.index in (None, index)), None)
        if index is None and not name and not self._calls[-1].is_whole:
            return self._calls[-1]  # an id of its own for each piece
        return numbered if numbered is not None and not name else None


def arguments_text(value: object) -> str:
    """Return a tool call's arguments as text, in the form that OpenAI sends. Some providers send an object."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def inner_of(piece: Json) -> tuple[str, Json]:
    """Return the kind of a call, and the object with the name and the arguments: of the call, or the call itself."""
    for kind in KINDS:
        if isinstance(inner := piece.get(kind), Mapping):
            return kind, _renamed(inner) if kind == KINDS[0] else inner
    return KINDS[0], _renamed({name: piece[name] for name in ("name", *ARGUMENT_NAMES) if name in piece})


def beside_of(piece: Json, kind: str) -> dict[str, Any]:
    """Return the members of a call beside the name and the arguments."""
    is_flat = not isinstance(piece.get(kind), Mapping)
    own = OWN | {"name", *ARGUMENT_NAMES} if is_flat else OWN
    return {name: value for name, value in piece.items() if name not in own and value is not None}


def _renamed(inner: Json) -> Json:
    """Return the object with the arguments under OpenAI's name."""
    found = next((name for name in ARGUMENT_NAMES if inner.get(name) is not None), None)
    if found in {None, ARGUMENT_NAMES[0]}:
        return inner
    return {**{n: v for n, v in inner.items() if n not in ARGUMENT_NAMES}, ARGUMENT_NAMES[0]: inner[str(found)]}


def _index(piece: Json) -> int | None:
    index = piece.get("index")
    return index if isinstance(index, int) and not isinstance(index, bool) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
