"""Records of operations: a receipt as the JSON that is stored for replays, and the receipt read back from this JSON."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from datetime import datetime
from typing import Any, TypeVar, cast, get_args

from shared.kernel.canonical import Json, canonical, parse_canonical
from shared.kernel.clock import DAY, Millis, to_datetime
from shared.ledger.account import Hold
from shared.ledger.codec import decode_hold, hold_fields
from shared.ledger.commands import AccountCommand
from shared.ledger.receipts import AccountTotals, Receipt, values_of

R = TypeVar("R", bound=Receipt)

PASSING_FOR: Millis = 30 * DAY
"""Lifetime of the record of an operation that nobody can repeat.

A turn, the reading to the provider's report and the recovery take minutes, and a hold lives for a day at most. So no
work that is under way needs a record whose lifetime is over.
"""
TOTALS = ("available", "held", "debt", "status", "seq")
"""Names of the account's totals, which stand beside the receipt's own facts."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class OperationRecord:
    """Stored outcome of an operation: fingerprint of the request, facts of the receipt, and nonce of the commit.

    `hold` is the archived hold if the operation charged and ended a hold under that hold's own name, else None.
    """

    fingerprint: str
    facts: Mapping[str, Json]
    nonce: str
    hold: Hold | None = None

    def receipt_for(self, command: AccountCommand[R]) -> R | None:
        """Return the receipt; None if the operation was done for another request than `command`."""
        return receipt_from(self.facts, receipt_class(command)) if self.fingerprint == command.fingerprint else None


def facts_of(receipt: Receipt) -> dict[str, Json]:
    """Return the facts of a receipt as they are stored. A field that is None is left out."""
    own = {name: value for name, value in values_of(receipt).items() if name != "after" and value is not None}
    return {**cast("dict[str, Json]", own), **{name: getattr(receipt.after, name) for name in TOTALS}}


def receipt_from(facts: Mapping[str, Any], kind: type[R]) -> R | None:
    """Return the receipt with these facts; None if the facts belong to a receipt of another class.

    Facts that a newer version of the code has added are left out, and facts that an older version did not write yet
    have their defaults.
    """
    fields = kind.__dataclass_fields__
    told = facts.keys() - TOTALS
    known = told & fields.keys()
    required = {name for name, field in fields.items() if field.default is MISSING} - {"after"}
    if (told and not known) or not required <= known:
        return None
    after = AccountTotals(**{name: facts[name] for name in TOTALS})
    return kind(after=after, **{name: facts[name] for name in known})


def receipt_class(command: AccountCommand[R]) -> type[R]:
    """Return the class of a command's receipts, as in `class Grant(AccountCommand[GrantReceipt])`."""
    [base] = cast("Any", type(command)).__orig_bases__
    [kind] = get_args(base)
    return cast("type[R]", kind)


def encode_operation(command: AccountCommand[R], receipt: R, nonce: str, hold: Hold | None = None) -> str:
    """Return the canonical JSON of a done operation, with the archived `hold` that the operation ended, if given."""
    facts = facts_of(receipt)
    record: dict[str, Json] = {
        "fingerprint": command.fingerprint,
        "result": facts,
        "seq": receipt.after.seq,
        "nonce": nonce,
    }
    return canonical(record if hold is None else {**record, "hold": hold_fields(hold)}).decode()


def lifetime_field(command: AccountCommand[R], now: Millis) -> Mapping[str, datetime]:
    """Return the field by which the database deletes the record of a passing operation; no field for other records."""
    return {"expires_at": to_datetime(now + PASSING_FOR)} if command.record == "passing" else {}


def decode_operation(state: str) -> OperationRecord:
    """Return the record of an operation. Raises NotCanonical, KeyError or TypeError if `state` is none."""
    stored: Any = parse_canonical(state)
    hold = decode_hold(stored["hold"]) if "hold" in stored else None
    return OperationRecord(fingerprint=stored["fingerprint"], facts=stored["result"], nonce=stored["nonce"], hold=hold)
