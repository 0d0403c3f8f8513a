"""Paths of the documents below `accounts/{uid}`, and the places where an archived lot or hold may be stored."""

import re
from collections.abc import Iterable

from shared.kernel.ids import HoldId, LotId, OperationId, Uid
from shared.ledger.account_documents import account_path
from shared.ledger.commands import (
    Accrue,
    Capture,
    Command,
    ExtendHold,
    Grant,
    PlaceHold,
    Recover,
    Reinstate,
    Release,
    Restore,
    Reverse,
    Suspend,
)
from shared.ledger.hold_names import capture_operation, hold_id

SEQ_DIGITS = 12
SEQ_MAX = 10**SEQ_DIGITS - 1
ENTRY_ID = re.compile(rf"\d{{{SEQ_DIGITS}}}", re.ASCII)


def entry_path(uid: Uid, seq: int) -> str:
    """Return `accounts/{uid}/entries/{seq}`, zero-padded, so that no fork can be created and ids sort as numbers."""
    return f"{account_path(uid)}/entries/{entry_id(seq)}"


def operation_path(uid: Uid, operation: OperationId) -> str:
    """Return `accounts/{uid}/operations/{id}`, the path of a remembered operation."""
    return f"{account_path(uid)}/operations/{operation}"


def lot_path(uid: Uid, lot: LotId) -> str:
    """Return `accounts/{uid}/lots/{id}`, the path of an archived lot."""
    return f"{account_path(uid)}/lots/{lot}"


def hold_path(uid: Uid, hold: HoldId) -> str:
    """Return `accounts/{uid}/holds/{id}`, the path of an archived hold."""
    return f"{account_path(uid)}/holds/{hold}"


def entry_id(seq: int) -> str:
    """Return the id of an entry's document."""
    return f"{seq:0{SEQ_DIGITS}d}"


def archived_paths(uid: Uid, command: Command) -> Iterable[str]:
    """Yield the places of the archived lots and holds that the command names.

    A hold that is named after its operation is as new as the operation, so that no archived hold can have its name.
    """
    if isinstance(command, Suspend | Recover):
        yield from (lot_path(uid, lot) for lot in command.lots)
    if isinstance(command, Reverse | Restore | Grant):
        yield lot_path(uid, command.lot)
        if isinstance(command, Grant) and command.suspension is not None:
            yield hold_path(uid, command.suspension)
    elif isinstance(command, PlaceHold):
        if command.hold != hold_id(command.operation):
            yield from hold_paths(uid, command.hold)
    elif isinstance(command, ExtendHold | Accrue | Capture | Release):
        yield from hold_paths(uid, command.hold)
    elif isinstance(command, Suspend | Reinstate):
        yield hold_path(uid, command.hold)


def hold_paths(uid: Uid, hold: HoldId) -> tuple[str, str]:
    """Return the places where a hold may be archived: an own document, or the record of the hold's capture."""
    return hold_path(uid, hold), operation_path(uid, capture_operation(hold))
