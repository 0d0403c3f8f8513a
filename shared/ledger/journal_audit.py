"""Audit of one account's journal: each entry is checked against the entries before it, and the account against all."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Protocol, Self

import orjson

from shared.kernel.canonical import NotCanonical, parse_canonical
from shared.kernel.ids import Uid
from shared.ledger.account import Account
from shared.ledger.account_documents import SCHEMA, exported, old_plain_fields, plain_fields, seal_message, sweep_fields
from shared.ledger.codec import decode_account
from shared.ledger.entries import genesis
from shared.ledger.errors import UNREADABLE, UnknownKey
from shared.ledger.findings import Findings
from shared.ledger.fold import NotApplicable
from shared.ledger.hold_names import capture_operation
from shared.ledger.keys import SEAL_CONTEXT, Verifier
from shared.ledger.redactions import (
    RULE,
    FoldSnapshot,
    RedactedEntry,
    Redaction,
    balance_postings,
    named_snapshot,
    redaction_rule,
)
from shared.ledger.running_account import RunningAccount
from shared.ledger.running_parts import PastParts, running_hold, running_lot


class SignedEntry(RedactedEntry, Protocol):
    """Entry as read, not verified yet: the fields of `StoredEntry` that an audit checks."""

    @property
    def schema(self) -> int: ...
    @property
    def redaction(self) -> Redaction | None: ...


SIGNATURE_FORM = re.compile(r"[A-Za-z0-9+/]{85}[AQgw]==").fullmatch
"""Test for the base64 of 64 bytes, padded. The last character encodes two bits, so that four zero bits follow."""


Report = Callable[[str, str], None]
"""Function that reports a finding about an entry: the rule and the detail."""


class JournalPast(PastParts, Protocol):
    """Past of an account, with the names of the operations that had an effect."""

    def is_new_operation(self, operation: str) -> bool:
        """Remember the name of an operation, and return False if the operation is known to have had an effect."""
        ...


@dataclass(slots=True, eq=False, repr=False)
class JournalAudit:
    """Progress along the journal: the last entry, its hash `head` and its time `at`.

    `account` is the fold so far; None after an entry that could not be folded.
    """

    verifier: Verifier
    past: JournalPast
    ledger: str
    uid: Uid
    seq: int
    head: str
    at: int
    account: RunningAccount | None
    findings: Findings = field(default_factory=Findings)
    are_signatures_checked: bool = True
    """False if the seal of the last state is enough: the state names the last hash, and so each entry."""
    is_fold_only: bool = False
    """True if somebody else checks each entry by itself: the hash, the form of the body, and the signature."""

    @classmethod
    def behind(cls, account: Account, past: JournalPast, verifier: Verifier) -> Self:
        """Return the audit of the entries behind the last entry of `account`."""
        return cls(
            verifier=verifier,
            past=past,
            ledger=account.ledger,
            uid=account.uid,
            seq=account.seq,
            head=account.head,
            at=account.at,
            account=RunningAccount.of(account, past),
            findings=Findings(uid=account.uid),
        )

    @classmethod
    def unfolded(cls, ledger: str, uid: Uid, past: JournalPast, verifier: Verifier, seq: int, head: str) -> Self:
        """Return the audit of entries behind entry `seq` with hash `head`, by their own words and links alone."""
        audit = cls.of(ledger, uid, past, verifier)
        audit.account = None
        if seq > 0:
            audit.seq, audit.head = seq, head
        return audit

    @classmethod
    def of(cls, ledger: str, uid: Uid, past: JournalPast, verifier: Verifier) -> Self:
        """Return the audit of a whole journal, from the first entry."""
        return cls.behind(Account(ledger=ledger, uid=uid, head=genesis(ledger, uid)), past, verifier)

    def follow(self, entry: SignedEntry) -> Mapping[str, Any] | None:
        """Check one entry against the journal so far, and add the entry to the journal.

        Return the parsed body; None if the entry is out of place or has no canonical body. Raises KeyError, TypeError,
        ValueError or AttributeError for an entry that cannot be read.
        """
        expected = self.seq + 1
        if entry.seq < expected:
            self.findings.report(max(entry.seq, 0), "sequence", f"entry {entry.seq} is out of place")
            return None
        if entry.seq > expected:
            self.findings.report(expected, "sequence", f"entry {expected} is missing")
        self.seq = entry.seq
        if entry.redaction is not None:
            return self._follow_redacted(entry, entry.redaction)
        body = _parsed(entry) if self.is_fold_only else checked_body(entry, self._report)
        if body is None:
            self.account = None
            return None
        self._check_links(entry, body)
        self.head = entry.hash
        self._fold(body)
        return body

    def _follow_redacted(self, entry: SignedEntry, redaction: Redaction) -> Mapping[str, Any] | None:
        """Check the statement in the place of a body, and go on from the snapshot. Returns the parsed statement."""
        try:
            rule = redaction_rule(entry, redaction, self.verifier, ledger=self.ledger, uid=self.uid, seq=entry.seq)
        except UnknownKey as error:
            self._report("unknown_key", error.detail)
            rule = RULE
        body = None if rule else _parsed(entry)
        if rule or body is None:
            self._report(rule or RULE, "the body is gone, and the ledger has not sealed a statement in its place")
            self.account, self.head = None, entry.hash
            return None
        self._check_place(entry, body)
        self.head = entry.hash
        self._go_on_from(body, redaction)
        return body

    def _go_on_from(self, statement: Mapping[str, Any], redaction: Redaction) -> None:
        if self.account is None:
            return
        try:
            snapshot = named_snapshot(statement, redaction.snapshot)
            self._leave_parts(snapshot, statement)
        except UNREADABLE as error:
            self._report(RULE, f"the fold cannot go on from the snapshot: {error}")
            self.account = None
            return
        before = self.account.account()
        self.account = RunningAccount.of(snapshot.account, self.past)
        if balance_postings(before, snapshot.account) != statement["postings"]:
            self._report("balance_after", "the statement's postings do not lead from one balance to the other")

    def _leave_parts(self, snapshot: FoldSnapshot, statement: Mapping[str, Any]) -> None:
        """Let the lots and the hold leave the state that left it by the entry."""
        for lot in snapshot.lots:
            self.past.keep_lot(running_lot(lot))
        hold = snapshot.ended
        if hold is not None:
            operation = capture_operation(hold.id) if snapshot.is_own_capture else statement["op"]
            told = {"op": operation, "at": statement["at"], "hold": {"id": hold.id, "end": hold.status}}
            self.past.keep_hold(self.seq, running_hold(hold), told)

    def finish(self, record: Mapping[str, Any]) -> bool:
        """Check the account's own documents against their seal, and against the fold of the whole journal.

        Return True if the state is the fold. `record` is the account's line of an export. Raises KeyError, TypeError,
        ValueError or AttributeError for documents that cannot be read.
        """
        self._check_seal(record)
        try:
            stored = decode_account(record["state"])
        except (NotCanonical, KeyError, TypeError, ValueError) as error:
            self.findings.report(0, "state", f"{type(error).__name__}: {error}")
            return False
        folded = None if self.account is None else self.account.account()
        if folded is not None and folded.seq == 0:
            folded = replace(folded, at=stored.at)
        if stored.seq > self.seq:
            detail = f"entry {self.seq + 1} is missing: the state counts {stored.seq} entries"
            self.findings.report(self.seq + 1, "sequence", detail)
        elif stored.seq < self.seq:
            detail = f"the state counts {stored.seq} entries, the journal ends at {self.seq}"
            self.findings.report(stored.seq + 1, "sequence", detail)
        elif stored != folded:
            self.findings.report(0, "state", "the state is not the fold of its journal")
        self._check_plain(record["plain"], stored)
        return stored == folded

    def _report(self, rule: str, detail: str) -> None:
        self.findings.report(self.seq, rule, detail)

    def _check_links(self, entry: SignedEntry, body: Mapping[str, Any]) -> None:
        """Report each law that an entry breaks by the place, signature, time or operation of the entry."""
        if not self.is_fold_only:
            check_signature(self.verifier, entry, body, self._report, is_full=self.are_signatures_checked)
        self._check_place(entry, body)
        operation = body["op"]
        if not operation.startswith("expire:") and not self.past.is_new_operation(operation):
            self._report("operation", f"{operation} has an effect twice")

    def _check_place(self, entry: SignedEntry, body: Mapping[str, Any]) -> None:
        """Report an entry whose body tells another place, or an earlier time than the entry before."""
        place = (body["ledger"], body["uid"], body["seq"], body["prev"], body["kind"])
        if place != (self.ledger, self.uid, entry.seq, self.head, entry.kind) or _is_of_another_schema(entry):
            self._report_place(entry, body)
        if body["at"] < self.at:
            self._report("time", "the entry is older than the one before it")
        self.at = body["at"]

    def _report_place(self, entry: SignedEntry, body: Mapping[str, Any]) -> None:
        if _is_of_another_schema(entry):
            self._report("format", f"the document is of schema {entry.schema}")
        if (body["ledger"], body["uid"]) != (self.ledger, self.uid):
            self._report("identity", f"the entry belongs to {body['ledger']}/{body['uid']}")
        if body["seq"] != entry.seq:
            self._report("sequence", f"the body says {body['seq']}")
        if body["prev"] != self.head:
            self._report("link", "the entry does not follow the one before it")
        if body["kind"] != entry.kind:
            self._report("kind", f"the document says {entry.kind}, the body {body['kind']}")

    def _fold(self, body: Mapping[str, Any]) -> None:
        account = self.account
        if account is None:
            return
        try:
            account.post(body, self.head)
        except (NotApplicable, AssertionError, KeyError, TypeError) as error:
            self._report("postings", f"{type(error).__name__}: {error}")
            self.account = None
            return
        held, debt = account.held, account.debt
        if body["posted"] != account.available + held or body["held"] != held or body["debt"] != debt:
            self._report("balance_after", f"the entry says {(body['posted'], body['held'], body['debt'])}")

    def _check_seal(self, record: Mapping[str, Any]) -> None:
        message = seal_message(self.ledger, self.uid, record["version"], record["nonce"], record["state"])
        kid, colon, signature = record["seal"].partition(":")
        try:
            rule = self.verifier.seal_rule(SEAL_CONTEXT, message, kid=kid, signature=signature) if colon else "seal"
            if rule is not None:
                self.findings.report(0, rule, f"key {kid} did not seal this state while the key was in force")
        except UnknownKey as error:
            self.findings.report(0, "unknown_key", error.detail)

    def _check_plain(self, plain: Mapping[str, Any], stored: Account) -> None:
        is_old = "total" not in plain
        fields = old_plain_fields(stored) if is_old else {**plain_fields(stored), **sweep_fields(stored)}
        expected = {name: exported(value) for name, value in fields.items() if value is not None}
        for name in sorted(expected.keys() | plain.keys()):
            told, true = plain.get(name), expected.get(name)
            if (name in plain, type(told), told) != (name in expected, type(true), true):
                self.findings.report(0, "plain_balance", f"{name} says {told}, the state {true}")


def _parsed(entry: SignedEntry) -> Mapping[str, Any] | None:
    body: Any = orjson.loads(entry.body)
    return body if type(body) is dict else None


def checked_body(entry: SignedEntry, report: Report) -> Mapping[str, Any] | None:
    """Return the parsed body of an entry, after the check of its hash and form; None if the body cannot be read."""
    raw = entry.body.encode()
    if sha256(raw).hexdigest() != entry.hash:
        report("hash", "the body does not have this hash")
    try:
        body = parse_canonical(raw)
    except NotCanonical as error:
        report("canonical", str(error))
        return None
    if type(body) is dict:
        return body
    report("canonical", "the body is no object")
    return None


def check_signature(
    verifier: Verifier, entry: SignedEntry, body: Mapping[str, Any], report: Report, *, is_full: bool
) -> None:
    """Check that the named key was in force at the entry's time, and if `is_full`, that the key signed the entry.

    Raises KeyError or TypeError for a body that does not name the key and the time.
    """
    kid, at = body["kid"], body["at"]
    try:
        if is_full:
            rule = verifier.entry_rule(entry.hash, kid=kid, signature=entry.signature, at=at)
        else:
            rule = verifier.time_rule(kid, at)
    except UnknownKey as error:
        report("unknown_key", error.detail)
        return
    if rule is not None:
        report(rule, f"key {kid} did not sign this entry while the key was in force")
    elif not is_full and SIGNATURE_FORM(entry.signature) is None:
        report("signature", "the signature is not the base64 of 64 bytes")


def _is_of_another_schema(entry: SignedEntry) -> bool:
    return entry.schema != SCHEMA or type(entry.schema) is not int
