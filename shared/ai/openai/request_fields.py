"""Fields of requests to model providers: a walk of a request along a table of offered fields. Pure.

A field that may change a provider's bill must not reach the provider unseen. So a table names the fields that pass, by
OpenAI's names. Operators name more fields for each upstream. Every other field is refused by name, or dropped.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from shared.kernel.errors import InvalidValue

Json: TypeAlias = Mapping[str, Any]
SCALARS = frozenset({str, int, float, bool, type(None)})
NAME_CHARACTERS_MAX = 200
"""Characters of a client's field name that a refusal repeats."""
NAMED_MAX = 20
"""Fields that a refusal or a warning names."""
UNKNOWN = "is not a field that is offered here"
DEARER = "has a price of its own, unless it is left at its default"


@dataclass(frozen=True, slots=True)
class Plain:
    """Text, number, truth value, or a list of such values: no value with fields."""


@dataclass(frozen=True, slots=True)
class Free:
    """Any value, such as a JSON schema: data of the client, in which names mean nothing to the provider."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Object with names of the client's choice and plain values, such as metadata."""


@dataclass(frozen=True, slots=True)
class Words:
    """Fixed set of allowed words. Other values are refused, since they have another price."""

    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class RefusedField:
    """Known field that is not offered, with the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Hint:
    """Field that is accepted and not sent on, since no answer depends on the field.

    With `only`, other values are refused.
    """

    only: Json | None = None


@dataclass(frozen=True, slots=True)
class Members:
    """Object with these fields."""

    fields: Mapping[str, "Shape"]


@dataclass(frozen=True, slots=True)
class Each:
    """List of objects of this shape. A plain value in place of the list passes."""

    of: "Members | Kinds"


@dataclass(frozen=True, slots=True)
class Kinds:
    """Object whose fields depend on the value of one field. `default` is the kind of an object without that field."""

    by: str
    kinds: Mapping[str, Members]
    default: str | None
    problem: str


Shape: TypeAlias = Plain | Free | Pairs | Words | RefusedField | Hint | Members | Each | Kinds
PLAIN, FREE, PAIRS = Plain(), Free(), Pairs()
TAKES_SCALARS = frozenset({Plain, Free, Pairs, Members, Each, Kinds})
"""Shapes that a plain value passes: a plain value has no fields, and the provider judges the type."""
Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class FieldFinding:
    """Value that must not be sent. `is_unknown`: the table does not know the name, so that the value may be dropped."""

    path: Path
    problem: str
    is_unknown: bool

    @property
    def name(self) -> str:
        """Return the value's place in the request, such as `messages.0.speed`."""
        return shown(self.path)


@dataclass(slots=True)
class Walk:
    """Single walk through a request, which sorts the request's fields into those that may be sent and others.

    `named` are the fields that an operator named beside the table. `findings` are the values that must not be sent.
    """

    named: frozenset[str]
    findings: list[FieldFinding] = field(default_factory=list)
    hints: list[Path] = field(default_factory=list)
    extras: list[tuple[Path, Any]] = field(default_factory=list)

    def sift(self, shape: Shape, value: Any, path: Path) -> Any:
        """Return the value without the parts that must not be sent; note each removed part."""
        if value.__class__ in SCALARS and shape.__class__ in TAKES_SCALARS:
            return value
        return SIFTERS[type(shape)](self, shape, value, path)

    def members(self, shape: Members, value: Any, path: Path) -> Any:
        """Return an object with the fields that may be sent; note each other field."""
        if not isinstance(value, Mapping):
            return self._wrong(value, path, "must be an object")
        kept = dict[str, Any]()
        for name, each in value.items():
            known = shape.fields[name] if name in shape.fields else None  # noqa: SIM401  # crowded bodies: no call
            if self.named and dotted((*path, name)) in self.named:
                self.extras.append(((*path, name), each))
                kept[name] = each
            elif each.__class__ in SCALARS and known.__class__ in TAKES_SCALARS:
                kept[name] = each
            elif known is None or isinstance(known, RefusedField | Hint):
                self._left_out(known, each, (*path, name))
            else:
                kept[name] = self.sift(known, each, (*path, name))
        return kept

    def each(self, shape: Each, value: Any, path: Path) -> Any:
        """Return a list of the elements that may be sent, without elements that became empty; note each removed
        part.
        """
        if not isinstance(value, list):
            return self._wrong(value, path, "must be a list")
        sifted = [self.sift(shape.of, element, (*path, at)) for at, element in enumerate(value)]
        return [after for before, after in zip(value, sifted, strict=True) if after != {} or before == {}]

    def kinds(self, shape: Kinds, value: Any, path: Path) -> Any:
        """Return an object with the fields that may be sent for the object's kind; note each other field."""
        if not isinstance(value, Mapping):
            return self._wrong(value, path, "must be an object")
        kind = value.get(shape.by)
        kind = shape.default if kind is None else kind
        known = shape.kinds.get(kind) if isinstance(kind, str) else None
        if known is None:
            return self._wrong(value, path, shape.problem)
        return self.members(known, value, path)

    def plain(self, shape: Shape, value: Any, path: Path) -> Any:
        """Return a plain value, or a list of plain values; note a value that has fields."""
        return value if is_plain(value) else self._wrong(value, path, "must have no fields")

    def pairs(self, shape: Shape, value: Any, path: Path) -> Any:
        """Return an object of plain values; note each value that has fields."""
        if not isinstance(value, Mapping):
            return self._wrong(value, path, "must be an object")
        for name, each in value.items():
            if each.__class__ not in SCALARS:
                self._wrong(each, (*path, name), "must be a plain value")
        return value

    def free(self, shape: Shape, value: Any, path: Path) -> Any:
        """Return any value unchanged."""
        return value

    def words(self, shape: Words, value: Any, path: Path) -> Any:
        """Return a word that is offered; note any other value."""
        is_word = value is None or (isinstance(value, str) and value in shape.words)
        return value if is_word else self._wrong(value, path, f"must be {' or '.join(sorted(shape.words))}")

    def _left_out(self, shape: RefusedField | Hint | None, value: Any, path: Path) -> None:
        if shape is None:
            if value is not None:
                self.findings.append(FieldFinding(path, UNKNOWN, is_unknown=True))
        elif isinstance(shape, RefusedField):
            if value not in (None, False, []):
                self.findings.append(FieldFinding(path, shape.reason, is_unknown=False))
        elif shape.only is not None and value is not None and value != shape.only:
            self.findings.append(FieldFinding(path, DEARER, is_unknown=False))
        elif value is not None:
            self.hints.append(path)

    def _wrong(self, value: Any, path: Path, problem: str) -> Any:
        self.findings.append(FieldFinding(path, problem, is_unknown=False))
        return value


SIFTERS: Mapping[type[Any], Callable[[Walk, Any, Any, Path], Any]] = {
    Plain: Walk.plain,
    Free: Walk.free,
    Pairs: Walk.pairs,
    Words: Walk.words,
    Members: Walk.members,
    Each: Walk.each,
    Kinds: Walk.kinds,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SiftedRequest:
    """Request with only the fields that may be sent to the provider.

    `dropped`: names of fields that are not sent on. `extras`: top-level fields that an operator named. `texts`: the
    values of all fields that an operator named, which count as input.
    """

    body: Json
    dropped: tuple[str, ...]
    extras: frozenset[str]
    texts: tuple[Any, ...]


class RequestFields:
    """Rules for fields beyond OpenAI's: the extra fields of each upstream, and whether to refuse or drop others."""

    def __init__(self, by_upstream: Mapping[str, frozenset[str]], *, drops_unknown: bool = False) -> None:
        self._by_upstream = by_upstream
        self._drops_unknown = drops_unknown
        self._everywhere = frozenset.intersection(*by_upstream.values()) if by_upstream else frozenset()

    def sifted(self, table: Members, body: Json, upstream: str | None) -> SiftedRequest:
        """Return the request with the fields that may be sent. Raises InvalidValue naming the refused fields.

        `upstream` None: the upstream is chosen later, so that a field must be named for all upstreams.
        """
        named = self._everywhere if upstream is None else self._by_upstream.get(upstream, frozenset())
        walk = Walk(named)
        sifted = walk.sift(table, body, ())
        findings = sorted(walk.findings, key=lambda each: each.name)
        wrong = [each for each in findings if not (each.is_unknown and self._drops_unknown)]
        if wrong:
            raise refusal(wrong)
        dropped = [*(each.path for each in findings), *walk.hints]
        return SiftedRequest(
            body=sifted,
            dropped=tuple(map(shown, dropped)),
            extras=frozenset(str(path[0]) for path, _ in walk.extras if len(path) == 1),
            texts=tuple(value for _, value in walk.extras),
        )


def refusal(findings: list[FieldFinding]) -> InvalidValue:
    """Build the error that names these findings, up to NAMED_MAX, and counts the rest. The first gives the field."""
    first, *others = findings[:NAMED_MAX]
    beside = "".join(f"; {each.name} {each.problem}" for each in others)
    more = len(findings) - NAMED_MAX
    return InvalidValue(first.name, first.problem + beside + (f"; and {more} more" if more > 0 else ""))


def shown(path: Path) -> str:
    """Return a place in a request in the form that errors use."""
    return ".".join(map(str, path))[:NAME_CHARACTERS_MAX]


def dotted(path: Path) -> str:
    """Return a place in a request as operators write places: without positions in lists."""
    return ".".join(part for part in path if isinstance(part, str))


def is_plain(value: Any) -> bool:
    """Return True for plain values and lists of them, nested at will."""
    todo = [value]
    while todo:
        each = todo.pop()
        if isinstance(each, list):
            todo += [inner for inner in each if inner.__class__ not in SCALARS]
        elif each.__class__ not in SCALARS:
            return False
    return True


def named_fields(shape: Shape, path: str = "") -> Iterator[str]:
    """Yield the path of each field that the table `shape` lets pass, such as `messages[]<user>.content`.

    `[]` stands for the elements of a list, and `<user>` for objects of the kind `user`.
    """
    if isinstance(shape, Members):
        for name, inner in shape.fields.items():
            if not isinstance(inner, RefusedField | Hint):
                here = f"{path}.{name}" if path else name
                yield here
                yield from named_fields(inner, here)
    elif isinstance(shape, Each):
        yield from named_fields(shape.of, f"{path}[]")
    elif isinstance(shape, Kinds):
        for kind, members in shape.kinds.items():
            yield from named_fields(members, f"{path}<{kind}>")
