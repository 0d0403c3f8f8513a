"""Codec of the account's state: one canonical string, compact, unindexed and sealed as a whole."""

from collections.abc import Mapping
from typing import Any, TypeVar

from shared.kernel.canonical import Json, canonical, parse_canonical
from shared.kernel.ids import Uid
from shared.ledger.account import AbsorbedAmounts, Account, Budget, Hold, Lot

STATE_VERSION = 1
T = TypeVar("T")


def encode_account(account: Account) -> str:
    """Return the state as canonical JSON. Lots, holds and budgets are maps of their fields without the None values."""
    body: dict[str, Json] = {
        "v": STATE_VERSION,
        "ledger": account.ledger,
        "uid": account.uid,
        "seq": account.seq,
        "head": account.head,
        "at": account.at,
        "status": account.status,
        "debt": account.debt,
        "tat": account.tat,
        "lots": [_fields(lot, Lot) for lot in account.lots.values()],
        "holds": [_fields(hold, Hold) for hold in account.holds.values()],
        "budgets": [_fields(budget, Budget) for budget in account.budgets.values()],
    }
    if account.absorbed:
        body["absorbed"] = [_fields(absorbed, AbsorbedAmounts) for absorbed in account.absorbed.values()]
    return canonical(body).decode()


def decode_account(text: str) -> Account:
    """Return the state that a canonical string encodes.

    Raises ValueError, KeyError or TypeError for any other string.
    """
    body: Any = parse_canonical(text)
    if body["v"] != STATE_VERSION:
        raise ValueError(f"state version {body['v']} is not known")
    lots = [decode_lot(fields) for fields in body["lots"]]
    holds = [decode_hold(fields) for fields in body["holds"]]
    budgets = [Budget(**fields) for fields in body["budgets"]]
    absorbed = [AbsorbedAmounts(**fields) for fields in body.get("absorbed", ())]
    return Account(
        ledger=body["ledger"],
        uid=Uid(body["uid"]),
        seq=body["seq"],
        head=body["head"],
        at=body["at"],
        status=body["status"],
        debt=body["debt"],
        tat=body["tat"],
        lots={lot.id: lot for lot in lots},
        holds={hold.id: hold for hold in holds},
        budgets={budget.id: budget for budget in budgets},
        absorbed={each.principal: each for each in absorbed},
    )


def encode_lot(lot: Lot) -> str:
    """Return an archived lot as canonical JSON."""
    return canonical(_fields(lot, Lot)).decode()


def encode_hold(hold: Hold) -> str:
    """Return an archived hold as canonical JSON."""
    return canonical(_fields(hold, Hold)).decode()


def decode_lot(fields: Mapping[str, Any]) -> Lot:
    """Build a lot from its fields."""
    return Lot(**{"expires_at": None, **fields})


def decode_hold(fields: Mapping[str, Any]) -> Hold:
    """Build a hold from its fields."""
    takes = tuple((lot, amount) for lot, amount in fields["takes"])
    about = tuple((name, text) for name, text in fields["about"]) if "about" in fields else None
    return Hold(**{**fields, "takes": takes, "budgets": tuple(fields["budgets"]), "about": about})


def _fields(value: object, of: type) -> dict[str, Json]:
    pairs = ((name, getattr(value, name)) for name in of.__slots__)  # type: ignore[attr-defined]  # a slotted dataclass
    return {name: item for name, item in pairs if item is not None}
