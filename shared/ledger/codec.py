"""Codec of the account's state: one canonical string, compact, unindexed and sealed as a whole.

The stored names are the fields of the dataclasses in `shared.ledger.account`; no field is named here. A map of the
account, such as `lots`, is stored as the list of the map's values, each under the value's first field.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from shared.kernel.canonical import Json, canonical, parse_canonical
from shared.kernel.ids import Uid
from shared.ledger.account import LEFT_OUT_FIELDS, Account, Hold, Lot

STATE_VERSION = 1
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Codec(Generic[T]):
    """Codec of one dataclass, by field names. `tuples` are the fields that JSON turns into lists."""

    type: type[T]
    names: tuple[str, ...]
    tuples: tuple[str, ...]
    missing: Mapping[str, None]
    """None for each field that may be None and has no default. A stored None is left out, so it must be filled in."""

    def encode(self, value: T) -> dict[str, Json]:
        """Return the fields of `value` by name, without the None values."""
        pairs = ((name, getattr(value, name)) for name in self.names)
        return {name: item for name, item in pairs if item is not None}

    def decode(self, stored: Mapping[str, Any]) -> T:
        """Return the value that `stored` encodes. Raises TypeError for a missing or an unknown field."""
        given: dict[str, Any] = {**self.missing, **stored}
        for name in self.tuples:
            if name in given:
                given[name] = _frozen(given[name])
        return self.type(**given)


def _codec_of(of: type[T]) -> _Codec[T]:
    hints, known = get_type_hints(of), fields(of)  # type: ignore[arg-type]  # a dataclass
    choices = {name: (hint, *get_args(hint)) for name, hint in hints.items()}
    return _Codec(
        type=of,
        names=tuple(each.name for each in known),
        tuples=tuple(name for name in hints if tuple in {get_origin(choice) for choice in choices[name]}),
        missing={each.name: None for each in known if type(None) in choices[each.name] and not _has_default(each)},
    )


def _has_default(of: Field[Any]) -> bool:
    return of.default is not MISSING or of.default_factory is not MISSING


def _frozen(item: Any) -> Any:
    return tuple(map(_frozen, item)) if isinstance(item, list) else item


def _maps_of_account() -> dict[str, _Codec[Any]]:
    """Return the codec of the values of each map of `Account`, by the map's name."""
    hints = get_type_hints(Account)
    return {name: _codec_of(get_args(hint)[1]) for name, hint in hints.items() if get_origin(hint) is Mapping}


_LOT, _HOLD, _MAPS = _codec_of(Lot), _codec_of(Hold), _maps_of_account()
_PLAIN = tuple(each.name for each in fields(Account) if each.name not in _MAPS)
_UNUSED = Account(ledger="", uid=Uid(""), head="")
"""Account with the defaults of all fields."""


def encode_account(account: Account) -> str:
    """Return the state as canonical JSON. Lots, holds and budgets are maps of their fields without the None values."""
    body: dict[str, Json] = {name: getattr(account, name) for name in _PLAIN}
    for name, codec in _MAPS.items():
        body[name] = [codec.encode(value) for value in getattr(account, name).values()]
    for name in LEFT_OUT_FIELDS:
        if getattr(account, name) == getattr(_UNUSED, name):
            del body[name]
    body["v"] = STATE_VERSION
    return canonical(body).decode()


def decode_account(text: str) -> Account:
    """Return the state that a canonical string encodes.

    Raises ValueError, KeyError or TypeError for any other string.
    """
    body: Any = parse_canonical(text)
    if body["v"] != STATE_VERSION:
        raise ValueError(f"state version {body['v']} is not known")
    parts = {name: body[name] for name in _PLAIN if name in body}
    for name, codec in _MAPS.items():
        if name in body:
            values = [codec.decode(stored) for stored in body[name]]
            parts[name] = {getattr(value, codec.names[0]): value for value in values}
    return Account(**parts)


def encode_lot(lot: Lot) -> str:
    """Return an archived lot as canonical JSON."""
    return canonical(_LOT.encode(lot)).decode()


def encode_hold(hold: Hold) -> str:
    """Return an archived hold as canonical JSON."""
    return canonical(hold_fields(hold)).decode()


def hold_fields(hold: Hold) -> dict[str, Json]:
    """Return the stored fields of an archived hold."""
    return _HOLD.encode(hold)


def decode_lot(stored: Mapping[str, Any]) -> Lot:
    """Build a lot from its stored fields."""
    return _LOT.decode(stored)


def decode_hold(stored: Mapping[str, Any]) -> Hold:
    """Build a hold from its stored fields."""
    return _HOLD.decode(stored)
