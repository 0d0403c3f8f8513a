"""Verifier of one account's chain, pure and offline. A finding names the broken part, its place and the law."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from shared.kernel.canonical import NotCanonical, parse_canonical
from shared.kernel.ids import Uid
from shared.ledger.account import Account, Archive, check
from shared.ledger.account_documents import SCHEMA, old_plain_fields, plain_fields, seal_message, sweep_fields
from shared.ledger.books import merged
from shared.ledger.codec import decode_account
from shared.ledger.entries import body_hash, draft_of, genesis
from shared.ledger.errors import UnknownKey
from shared.ledger.export import exported
from shared.ledger.fold import NotApplicable, apply
from shared.ledger.keys import ENTRY_CONTEXT, SEAL_CONTEXT, Verifier
from shared.ledger.store import StoredEntry

FINDINGS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Broken law: the account, the entry (0: the account itself), the rule, and the detail."""

    uid: str
    seq: int
    rule: str
    detail: str


@dataclass(slots=True, eq=False, repr=False)
class _Audit:
    """Progress along the chain. `account` is the fold so far; None after an entry that could not be folded."""

    verifier: Verifier
    ledger: str = ""
    uid: str = ""
    seq: int = 0
    head: str = ""
    at: int = 0
    account: Account | None = None
    archive: Archive = field(default_factory=Archive)
    operations: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    def report(self, rule: str, detail: str, seq: int | None = None) -> None:
        if len(self.findings) < FINDINGS_MAX:
            at = self.seq if seq is None else seq
            self.findings.append(Finding(uid=self.uid, seq=at, rule=rule, detail=detail))


def verify_account(lines: Iterable[str], verifier: Verifier) -> list[Finding]:
    """Return all broken laws in an export (`shared.ledger.export`), by the keys that the caller trusts; [] if none.

    Rules: `format`, `identity`, `sequence`, `link`, `hash`, `canonical`, `signature`, `unknown_key`, `kind`, `time`,
    `operation`, `postings`, `balance_after`, `seal`, `state`, `plain_balance`.
    """
    audit = _Audit(verifier=verifier)
    has_account = False
    for number, line in enumerate(lines):
        try:
            record = orjson.loads(line)
            kind = record["type"]
            if number == 0:
                _start(audit, record)
            elif has_account:
                audit.report("format", f"line {number + 1} stands behind the account", 0)
            elif kind == "entry":
                _follow(audit, record)
            elif kind == "account":
                has_account = True
                _finish(audit, record)
            else:
                audit.report("format", f"line {number + 1} is a {kind}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            seq = 0 if has_account else audit.seq
            audit.report("format", f"line {number + 1}: {type(error).__name__}: {error}", seq)
    if audit.seq > 0 and not has_account:
        audit.report("format", "the account is missing", 0)
    return audit.findings


def entry_rule(stored: Sequence[StoredEntry], verifier: Verifier, *, ledger: str, uid: Uid, seq: int) -> str | None:
    """Return the law that one entry breaks by itself, without the chain before; None if none. Raises UnknownKey.

    The law is one of `sequence`, `hash`, `canonical`, `identity`, `signature`, `kind`.
    """
    if len(stored) != 1 or seq < 1:
        return "sequence"
    entry = stored[0]
    if body_hash(entry.body) != entry.hash:
        return "hash"
    try:
        body: Any = parse_canonical(entry.body)
        if (body["ledger"], body["uid"], body["seq"]) != (ledger, uid, seq):
            return "identity"
        is_signed = verifier.is_signed(ENTRY_CONTEXT, entry.hash.encode(), kid=body["kid"], signature=entry.signature)
    except (NotCanonical, KeyError, TypeError):
        return "canonical"
    if not is_signed:
        return "signature"
    return None if body["kind"] == entry.kind else "kind"


def _start(audit: _Audit, header: Mapping[str, Any]) -> None:
    if (header["type"], header["format"], header["version"]) != ("header", "ics-export", 1):
        raise ValueError("not an export of version 1")
    audit.ledger, audit.uid = header["ledger"], header["uid"]
    audit.head = genesis(audit.ledger, Uid(audit.uid))
    audit.account = Account(ledger=audit.ledger, uid=Uid(audit.uid), head=audit.head)


def _follow(audit: _Audit, record: Mapping[str, Any]) -> None:
    """Check one entry against the chain so far, and add the entry to the chain."""
    expected = audit.seq + 1
    seq = record["seq"]
    if seq < expected:
        audit.report("sequence", f"entry {seq} is out of place", max(seq, 0))
        return
    if seq > expected:
        audit.report("sequence", f"entry {expected} is missing", expected)
    audit.seq = seq
    body = _body(audit, record)
    if body is None:
        audit.account = None
        return
    _check_links(audit, record, body)
    audit.head = record["hash"]
    _fold(audit, body)


def _body(audit: _Audit, record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if body_hash(record["body"]) != record["hash"]:
        audit.report("hash", "the body does not have this hash")
    try:
        body: Any = parse_canonical(record["body"])
    except NotCanonical as error:
        audit.report("canonical", str(error))
        return None
    return body if isinstance(body, Mapping) else None


def _check_links(audit: _Audit, record: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    """Report each law that an entry breaks by the place, signature, time or operation of the entry."""
    if record["schema"] != SCHEMA or isinstance(record["schema"], bool):
        audit.report("format", f"the document is of schema {record['schema']}")
    _check_signature(audit, record, body)
    if (body["ledger"], body["uid"]) != (audit.ledger, audit.uid):
        audit.report("identity", f"the entry belongs to {body['ledger']}/{body['uid']}")
    if body["seq"] != record["seq"]:
        audit.report("sequence", f"the body says {body['seq']}")
    if body["prev"] != audit.head:
        audit.report("link", "the entry does not follow the one before it")
    if body["kind"] != record["kind"]:
        audit.report("kind", f"the document says {record['kind']}, the body {body['kind']}")
    if body["at"] < audit.at:
        audit.report("time", "the entry is older than the one before it")
    audit.at = body["at"]
    operation = body["op"]
    if not operation.startswith("expire:") and operation in audit.operations:
        audit.report("operation", f"{operation} has an effect twice")
    audit.operations.add(operation)


def _check_signature(audit: _Audit, record: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    try:
        is_signed = audit.verifier.is_signed(
            ENTRY_CONTEXT, record["hash"].encode(), kid=body["kid"], signature=record["signature"]
        )
    except UnknownKey as error:
        audit.report("unknown_key", error.detail)
        return
    if not is_signed:
        audit.report("signature", f"key {body['kid']} did not sign this entry")


def _fold(audit: _Audit, body: Mapping[str, Any]) -> None:
    if audit.account is None:
        return
    try:
        account, left = apply(audit.account, draft_of(body), audit.archive)
        check(account)
    except (NotApplicable, AssertionError, KeyError, TypeError) as error:
        audit.report("postings", f"{type(error).__name__}: {error}")
        audit.account = None
        return
    audit.archive = merged(audit.archive, left)
    audit.account = replace(account, head=audit.head)
    told = (body["posted"], body["held"], body["debt"])
    if told != (account.available + account.held, account.held, account.debt):
        audit.report("balance_after", f"the entry says {told}")


def _finish(audit: _Audit, record: Mapping[str, Any]) -> None:
    """Check the account's own document against its seal, and against the fold of the whole journal."""
    _check_seal(audit, record)
    try:
        stored = decode_account(record["state"])
    except (NotCanonical, KeyError, TypeError, ValueError) as error:
        audit.report("state", f"{type(error).__name__}: {error}", 0)
        return
    folded = audit.account
    if folded is not None and folded.seq == 0:
        folded = replace(folded, at=stored.at)
    if stored.seq != audit.seq:
        audit.report("sequence", f"the state counts {stored.seq} entries, the journal ends at {audit.seq}", 0)
    elif stored != folded:
        audit.report("state", "the state is not the fold of its journal", 0)
    _check_plain(audit, record["plain"], stored)


def _check_seal(audit: _Audit, record: Mapping[str, Any]) -> None:
    message = seal_message(audit.ledger, Uid(audit.uid), record["version"], record["nonce"], record["state"])
    kid, colon, signature = record["seal"].partition(":")
    try:
        if not colon or not audit.verifier.is_signed(SEAL_CONTEXT, message, kid=kid, signature=signature):
            audit.report("seal", f"key {kid} did not seal this state", 0)
    except UnknownKey as error:
        audit.report("unknown_key", error.detail, 0)


def _check_plain(audit: _Audit, plain: Mapping[str, Any], stored: Account) -> None:
    is_old = "total" not in plain
    fields = old_plain_fields(stored) if is_old else {**plain_fields(stored), **sweep_fields(stored)}
    expected = {name: exported(value) for name, value in fields.items()}
    for name in sorted(expected.keys() | plain.keys()):
        told, true = plain.get(name), expected.get(name)
        if (name in plain, type(told), told) != (name in expected, type(true), true):
            audit.report("plain_balance", f"{name} says {told}, the state {true}", 0)


if __name__ == "__main__":
    import sys

    from shared.ledger.verify_command import main

    sys.exit(main())
