"""Checks of entries before they are published or shown: each by itself, and each as a link behind the one before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from shared.kernel.canonical import NotCanonical, parse_canonical
from shared.kernel.ids import Uid
from shared.ledger.entries import body_hash, genesis
from shared.ledger.errors import IntegrityFailed
from shared.ledger.keys import Verifier
from shared.ledger.redactions import redaction_rule
from shared.ledger.store import AccountStore
from shared.ledger.stored_entries import StoredEntry


def sound_entries(  # the place in the chain, and the keys
    store: AccountStore, verifier: Verifier, *, ledger: str, uid: Uid, first: int, last: int, least: int, before: str
) -> list[StoredEntry]:
    """Return the stored entries `first` to `last`, verified. Entries after `least` may be missing at the end.

    `before` is the hash of the entry before `first`; "" if unknown, then that entry is read too. Raises
    IntegrityFailed for the first entry that breaks a law; UnknownKey.
    """
    if first == 1:
        before = genesis(ledger, uid)
    start = first if before else first - 1
    entries = store.entries(uid, start, last)
    check_links(entries, verifier, ledger=ledger, uid=uid, first=start, before=before)
    if start + len(entries) <= least:
        raise IntegrityFailed(uid=uid, seq=start + len(entries), rule="sequence")
    return entries[first - start :]


def check_links(
    entries: Sequence[StoredEntry], verifier: Verifier, *, ledger: str, uid: Uid, first: int, before: str
) -> None:
    """Raise IntegrityFailed for the first of these entries that breaks a law as entry `first`, `first` + 1, ….

    `before` is the hash of the entry before `first`; "" if unknown. Raises UnknownKey.
    """
    if first == 1:
        before = genesis(ledger, uid)
    for seq, entry in enumerate(entries, first):
        rule = _broken_rule(entry, verifier, ledger=ledger, uid=uid, seq=seq, before=before)
        if rule is not None:
            raise IntegrityFailed(uid=uid, seq=seq, rule=rule)
        before = entry.hash


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryChecks:
    """Checks of entries that are read from the store, with the keys of one ledger."""

    verifier: Verifier
    ledger: str

    def require_page(self, uid: Uid, page: Sequence[StoredEntry], head: tuple[int, str]) -> None:
        """Check entries of a page, newest first, with gaps or without: each by the signature, neighbours as links.

        `head` is number and hash of the account's last entry. Raises IntegrityFailed for the first entry that breaks a
        law; UnknownKey.
        """
        after, expected = head[0] + 1, head[1]
        for entry in page:
            rule = entry_rule([entry], self.verifier, ledger=self.ledger, uid=uid, seq=entry.seq)
            if rule is None and entry.seq == after - 1 and entry.hash != expected:
                rule = "link"
            if rule is not None:
                raise IntegrityFailed(uid=uid, seq=max(entry.seq, 0), rule=rule)
            after, expected = entry.seq, str(orjson.loads(entry.body).get("prev"))

    def bodies(self, uid: Uid, first: int, entries: Sequence[StoredEntry]) -> list[Mapping[str, Any]]:
        """Return the parsed bodies of neighbours from `first` on, oldest first, as one chain with one signature.

        The signature of the last entry covers all before it by their hashes. A redacted entry is checked by itself.
        Raises IntegrityFailed for the first entry
        that breaks a law; UnknownKey.
        """
        bodies, before = list[Mapping[str, Any]](), ""
        for seq, entry in enumerate(entries, first):
            body = _body_of(uid, seq, entry)
            rule = _link_rule(body, entry, uid=uid, seq=seq, before=before)
            is_signed = seq == first + len(entries) - 1 or entry.redaction is not None
            if rule is None and is_signed:
                rule = entry_rule([entry], self.verifier, ledger=self.ledger, uid=uid, seq=seq)
            if rule is not None:
                raise IntegrityFailed(uid=uid, seq=seq, rule=rule)
            before = entry.hash
            bodies.append(body)
        return bodies


def entry_rule(stored: Sequence[StoredEntry], verifier: Verifier, *, ledger: str, uid: Uid, seq: int) -> str | None:
    """Return the law that one entry breaks by itself, without the chain before; None if none. Raises UnknownKey.

    The law is one of `sequence`, `hash`, `canonical`, `identity`, `signature`, `retired_key`, `early_key`,
    `kind`, `redaction`.
    """
    if len(stored) != 1 or seq < 1:
        return "sequence"
    entry = stored[0]
    if entry.redaction is not None:
        return redaction_rule(entry, entry.redaction, verifier, ledger=ledger, uid=uid, seq=seq)
    if body_hash(entry.body) != entry.hash:
        return "hash"
    try:
        body: Any = parse_canonical(entry.body)
        if (body["ledger"], body["uid"], body["seq"]) != (ledger, uid, seq):
            return "identity"
        rule = verifier.entry_rule(entry.hash, kid=body["kid"], signature=entry.signature, at=body["at"])
    except (NotCanonical, KeyError, TypeError):
        return "canonical"
    return rule or (None if body["kind"] == entry.kind else "kind")


def _broken_rule(entry: StoredEntry, verifier: Verifier, *, ledger: str, uid: Uid, seq: int, before: str) -> str | None:
    """Return the law that the entry breaks at the place `seq`, None if none. `before` is "" if unknown."""
    if entry.seq != seq:
        return "sequence"
    rule = entry_rule([entry], verifier, ledger=ledger, uid=uid, seq=seq)
    if rule is None and before and orjson.loads(entry.body).get("prev") != before:
        return "link"
    return rule


def _link_rule(body: Mapping[str, Any], entry: StoredEntry, *, uid: Uid, seq: int, before: str) -> str | None:
    """Return the law that the entry breaks as a link at the place `seq`, None if none. `before` is "" if unknown."""
    if entry.seq != seq or body.get("seq") != seq:
        return "sequence"
    if entry.redaction is None and body_hash(entry.body) != entry.hash:
        return "hash"
    if body.get("uid") != uid:
        return "identity"
    return "link" if before and body.get("prev") != before else None


def _body_of(uid: Uid, seq: int, entry: StoredEntry) -> Mapping[str, Any]:
    try:
        body: Any = parse_canonical(entry.body)
    except NotCanonical as error:
        raise IntegrityFailed(uid=uid, seq=seq, rule="canonical") from error
    if not isinstance(body, Mapping):
        raise IntegrityFailed(uid=uid, seq=seq, rule="canonical")
    return body
