"""Redactions: entries whose body was deleted, with a sealed statement and a snapshot of the fold in the body's place.

The hash and the signature of the entry stay. The statement names the hash, the link, the balances and the digest of the
snapshot, and is a leaf of the log (`ics-snapshot-v1`) before the body is deleted. A reader folds the journal up to the
entry before, and continues from the snapshot. The statement has the fields that every body has, with postings that name
the balances alone, so that a reader of bodies can read a statement.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from shared.kernel.canonical import Json, canonical, parse_canonical
from shared.kernel.clock import Millis
from shared.kernel.ids import Uid
from shared.ledger.account import Account, Hold, Lot
from shared.ledger.codec import decode_account, decode_hold, decode_lot, encode_account, encode_lot, hold_fields
from shared.ledger.entries import AVAILABLE, DEBT, ENTRY_VERSION, HELD
from shared.ledger.errors import UNREADABLE
from shared.ledger.fold import FOLD_VERSION
from shared.ledger.keys import REDACTION_CONTEXT, Verifier

RULE = "redaction"
"""Law that an entry breaks whose body is gone although the ledger has not deleted the body."""
MARK = "redacted"
"""Name of a statement's fact that no body has, and the other side of the statement's postings."""
OPERATION = "redacted:"
"""Operation in statements. The colon says that the operation has no record of its own."""
STATED = ("ledger", "uid", "seq", "prev", "kind", "at", "kid", "posted", "held", "debt")
"""Fields of a body that a statement repeats."""
USAGE_AFTER = "usage_after"
"""Name under which `usage_body` gives the usage after the entry."""

Progress = Literal["waiting", "redacted"]
"""Progress of a redaction. `waiting`: the log gets the snapshot in the next minutes, and the body is still there."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """Part of an entry without a body: the seal of the statement, and the text of the snapshot, "" if not read."""

    seal: str
    snapshot: str = ""


class RedactedEntry(Protocol):
    """Entry whose `body` is a statement."""

    @property
    def seq(self) -> int: ...
    @property
    def body(self) -> str: ...
    @property
    def hash(self) -> str: ...
    @property
    def signature(self) -> str: ...
    @property
    def kind(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldSnapshot:
    """State after an entry, with the parts that the entry moved out of the state.

    `lots` left the state by the entry. `ended` is the hold that the entry ended, None if the entry ended none;
    `is_own_capture`: by the hold's own capture. `usage` is the text of the usage after the entry.
    """

    account: Account
    lots: tuple[Lot, ...]
    ended: Hold | None
    is_own_capture: bool
    usage: str

    @property
    def text(self) -> str:
        """Canonical text of the snapshot."""
        told: dict[str, Json] = {
            "v": 1,
            "state": parse_canonical(encode_account(self.account)),
            "lots": [parse_canonical(encode_lot(lot)) for lot in self.lots],
            "usage": parse_canonical(self.usage),
        }
        if self.ended is not None:
            told["ended"] = {"hold": hold_fields(self.ended), "is_own": self.is_own_capture}
        return canonical(told).decode()


def snapshot_in(text: str) -> FoldSnapshot:
    """Return the snapshot of a canonical text. Raises an error of UNREADABLE for any other text."""
    told: Any = parse_canonical(text)
    ended = told.get("ended")
    return FoldSnapshot(
        account=decode_account(canonical(told["state"]).decode()),
        lots=tuple(decode_lot(lot) for lot in told["lots"]),
        ended=None if ended is None else decode_hold(ended["hold"]),
        is_own_capture=ended is not None and ended["is_own"] is True,
        usage=canonical(told["usage"]).decode(),
    )


def statement_of(
    body: Mapping[str, Any], entry_hash: str, before: Account, snapshot: FoldSnapshot, now: Millis
) -> Mapping[str, Json]:
    """Return the statement of an entry. `body` is the entry's parsed body, `before` the state before the entry."""
    after = snapshot.account
    return {
        "v": ENTRY_VERSION,
        **{name: body[name] for name in STATED},
        "op": OPERATION,
        "postings": balance_postings(before, after),
        MARK: {"at": now, "fold": FOLD_VERSION, "hash": entry_hash, "snapshot": digest_of(snapshot.text)},
    }


def balance_postings(before: Account, after: Account) -> list[Json]:
    """Return the postings that lead from one balance to another, each from or to the name `redacted`."""
    changes = {
        AVAILABLE: after.available - before.available,
        HELD: after.held - before.held,
        DEBT: before.debt - after.debt,
    }
    return [
        {"from": MARK, "to": name, "amount": change} if change > 0 else {"from": name, "to": MARK, "amount": -change}
        for name, change in changes.items()
        if change
    ]


def redaction_rule(
    entry: RedactedEntry, redaction: Redaction, verifier: Verifier, *, ledger: str, uid: Uid, seq: int
) -> str | None:
    """Return the law that a redacted entry breaks by itself, None if none. Raises UnknownKey.

    The law is one of `redaction`, `sequence`, `identity`, `signature`, `retired_key`, `early_key`, `kind`.
    """
    try:
        told: Any = parse_canonical(entry.body)
        kid, colon, signature = redaction.seal.partition(":")
        is_sealed = bool(colon) and verifier.is_signed(
            REDACTION_CONTEXT, entry.body.encode(), kid=kid, signature=signature
        )
        if not is_sealed or verifier.time_rule(kid, told[MARK]["at"]) is not None or told[MARK]["hash"] != entry.hash:
            return RULE
        if (told["ledger"], told["uid"], told["seq"]) != (ledger, uid, seq):
            return "identity"
        if entry.seq != seq:
            return "sequence"
        rule = verifier.entry_rule(entry.hash, kid=told["kid"], signature=entry.signature, at=told["at"])
    except UNREADABLE:
        return RULE
    return rule or (None if told["kind"] == entry.kind else "kind")


def named_snapshot(statement: Mapping[str, Any], text: str) -> FoldSnapshot:
    """Return the snapshot that a statement names. Raises an error of UNREADABLE if `text` is another."""
    if digest_of(text) != statement[MARK]["snapshot"]:
        raise ValueError("the snapshot is not the one that the statement names")
    snapshot = snapshot_in(text)
    account = snapshot.account
    told = (account.ledger, account.uid, account.seq, account.head, account.at)
    place = tuple(statement[name] for name in ("ledger", "uid", "seq"))
    if told != (*place, statement[MARK]["hash"], statement["at"]):
        raise ValueError("the snapshot is of another entry")
    balances = (account.available + account.held, account.held, account.debt)
    if balances != (statement["posted"], statement["held"], statement["debt"]):
        raise ValueError("the snapshot has other balances than the entry")
    return snapshot


def told_hash(statement: str) -> str:
    """Return the hash of the entry that a statement names; "" for a text that names none. Not verified."""
    try:
        return str(parse_canonical(statement)[MARK]["hash"])  # type: ignore[index, call-overload]  # checked here
    except UNREADABLE:
        return ""


def leaf_body(statement: str, seal: str) -> Mapping[str, Json]:
    """Return the body of the leaf that names the redaction in the log."""
    return {"seal": seal, "statement": statement}


def leaf_name(ledger: str, uid: Uid, seq: int) -> str:
    """Return the name of the redaction's leaf in the store: one for each entry. A uid may have any character."""
    return f"snapshot-{digest_of(canonical([ledger, uid, seq]).decode())}"


def digest_of(text: str) -> str:
    """Return the SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def usage_body(body: Mapping[str, Any], redaction: Redaction | None) -> Mapping[str, Any]:
    """Return a parsed body for folds of the usage: a statement also has the usage after the entry.

    Raises an error of UNREADABLE if the snapshot was not read.
    """
    if redaction is None:
        return body
    from shared.ledger.audit_usage import usage_in

    return {**body, USAGE_AFTER: usage_in(snapshot_in(redaction.snapshot).usage)}


def statement_in(text: str) -> Mapping[str, Any]:
    """Return the parsed statement. Raises an error of UNREADABLE for a text that is no JSON object."""
    told: Any = parse_canonical(text)
    return dict(told)
