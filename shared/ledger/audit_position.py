"""Position of an account's audit: the state after the last audited entry, signed by the ledger's key.

The document `accounts/{uid}/audited/position` is derived. Without it the audit begins at the first entry. A position
that the ledger did not sign, or signed for another account, is not used.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from shared.kernel.canonical import Json, canonical, parse_canonical
from shared.kernel.documents import Create, Data, Document, Documents, Put, Version
from shared.kernel.ids import Uid, random_token
from shared.ledger.account import Account
from shared.ledger.account_documents import account_path
from shared.ledger.audit_pages import AppendedPages, PageMark, PositionUnusable
from shared.ledger.audit_usage import usage_in, usage_text
from shared.ledger.codec import decode_account, encode_account
from shared.ledger.entries import genesis
from shared.ledger.errors import UNREADABLE, UnknownKey
from shared.ledger.fold import FOLD_VERSION
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import AUDIT_CONTEXT
from shared.ledger.usage import UsageFold


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPosition:
    """Progress of an audit: `account` is the fold up to the last audited entry.

    `names` and `lots` are the marks of pages, see `AuditPast`. `salt` is the key of the hashes in `names`. The first
    `names_checked` bytes of `names` are compared with each other, up to entry `seq_checked`. Entries up to `sampled`
    were verified again in this round.
    """

    account: Account
    salt: str
    names: tuple[PageMark, ...] = ()
    lots: tuple[PageMark, ...] = ()
    names_checked: int = 0
    seq_checked: int = 0
    sampled: int = 0
    round: int = 0
    """Number of the round of samples, which selects the older entries whose records are compared."""
    lots_sampled: int = 0
    """Number of archived lots that were compared in this round."""
    usage: UsageFold = field(default_factory=UsageFold)
    """Usage up to the last audited entry, with the sums of the last day alone."""
    days: tuple[PageMark, ...] = ()
    """Marks of the pages with the digests of all days before the last, see `UsageAudit`."""
    days_sampled: int = 0
    """Number of past days that were compared in this round."""

    @classmethod
    def first(cls, ledger: str, uid: Uid) -> "AuditPosition":
        """Return the position before the first entry."""
        account = Account(ledger=ledger, uid=uid, head=genesis(ledger, uid))
        return cls(account=account, salt=random_token())


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPosition:
    """Position as read. `version` is None if there is no document; `refused` says why a document is not used."""

    position: AuditPosition
    version: Version | None
    refused: str = ""


class AuditPositions:
    """Store of the positions of all audits."""

    def __init__(self, documents: Documents, keys: KeyRing, ledger: str, fold: int = FOLD_VERSION) -> None:
        self._fold = fold
        self._documents = documents
        self._keys = keys
        self._ledger = ledger

    def read(self, uid: Uid) -> StoredPosition:
        """Return the account's position; the position before the first entry if there is none that can be used."""
        document = self._documents.get(position_path(uid))
        first = AuditPosition.first(self._ledger, uid)
        if document is None:
            return StoredPosition(position=first, version=None)
        try:
            position = self._decoded(uid, document)
        except PositionUnusable as error:
            return StoredPosition(position=first, version=document.version, refused=error.reason)
        return StoredPosition(position=position, version=document.version)

    def store(self, uid: Uid, position: AuditPosition, version: Version | None, *pages: AppendedPages) -> Version:
        """Store the position with the changed pages in one commit, and return the position's new version.

        Raises PreconditionFailed if another worker has stored a position since, and the errors of `Documents.commit`.
        """
        path, data = position_path(uid), self._encoded(uid, position)
        write = Create(path, data) if version is None else Put(path, data, version)
        return self._documents.commit([write, *(each for page in pages for each in page.writes())])[0]

    def pages(self, uid: Uid, kind: str, marks: tuple[PageMark, ...]) -> AppendedPages:
        """Return the pages of one kind: `names`, `lots` or `days`."""
        return AppendedPages(self._documents, f"{account_path(uid)}/audited/{kind}", marks)

    def _encoded(self, uid: Uid, position: AuditPosition) -> Data:
        state, usage = encode_account(position.account), usage_text(position.usage)
        told = {**_marks(position), "fold": self._fold, "usage": _digest(usage)}
        marks = canonical(told).decode()
        kid = self._keys.kid
        seal = self._keys.sign(AUDIT_CONTEXT, self._message(uid, state, marks), kid)
        return {"state": state, "marks": marks, "usage": usage, "seal": f"{kid}:{seal}"}

    def _decoded(self, uid: Uid, document: Document) -> AuditPosition:
        """Return the position in a document. Raises PositionUnusable."""
        state, marks = str(document.data.get("state")), str(document.data.get("marks"))
        seal = document.data.get("seal")
        kid, colon, signature = seal.partition(":") if isinstance(seal, str) else ("", "", "")
        if not colon:
            raise PositionUnusable("forged")
        try:
            message = self._message(uid, state, marks)
            if self._keys.seal_rule(AUDIT_CONTEXT, message, kid=kid, signature=signature) is not None:
                raise PositionUnusable("forged")
            told: Any = parse_canonical(marks)
            if told["fold"] != self._fold:
                raise PositionUnusable("outdated")
            usage = str(document.data.get("usage"))
            if told["usage"] != _digest(usage):
                raise PositionUnusable("forged")
            return _position(decode_account(state), usage_in(usage), told)
        except UnknownKey as error:
            raise PositionUnusable("unknown_key") from error
        except UNREADABLE as error:
            raise PositionUnusable("damaged") from error

    def _message(self, uid: Uid, state: str, marks: str) -> bytes:
        return canonical({"ledger": self._ledger, "uid": uid, "state": _digest(state), "marks": _digest(marks)})


def position_path(uid: Uid) -> str:
    """Return `accounts/{uid}/audited/position`, the path of the position of the account's audit."""
    return f"{account_path(uid)}/audited/position"


def _marks(position: AuditPosition) -> dict[str, Json]:
    return {
        "salt": position.salt,
        "names": [{"size": each.size, "digest": each.digest} for each in position.names],
        "lots": [{"size": each.size, "digest": each.digest} for each in position.lots],
        "names_checked": position.names_checked,
        "seq_checked": position.seq_checked,
        "sampled": position.sampled,
        "round": position.round,
        "lots_sampled": position.lots_sampled,
        "days": [{"size": each.size, "digest": each.digest} for each in position.days],
        "days_sampled": position.days_sampled,
    }


def _position(account: Account, usage: UsageFold, marks: Any) -> AuditPosition:
    return AuditPosition(
        account=account,
        usage=usage,
        salt=marks["salt"],
        names=tuple(PageMark(**each) for each in marks["names"]),
        lots=tuple(PageMark(**each) for each in marks["lots"]),
        names_checked=marks["names_checked"],
        seq_checked=marks["seq_checked"],
        sampled=marks["sampled"],
        round=marks["round"],
        lots_sampled=marks["lots_sampled"],
        days=tuple(PageMark(**each) for each in marks["days"]),
        days_sampled=marks["days_sampled"],
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
