"""Positions: how far the relay has published an account's journal, and how far the journal is added up by day.

Both stand in `accounts/{uid}/relay/usage`, so that one commit moves both. Earlier releases stored the relay's part in
`accounts/{uid}/relay/position`, and write this document without that part; then the older position counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from shared.kernel.canonical import canonical
from shared.kernel.clock import MINUTE, Millis
from shared.kernel.documents import Create, Data, Document, Documents, Put, Version, Write
from shared.kernel.ids import Uid
from shared.ledger.account_documents import account_path
from shared.ledger.errors import UNREADABLE, IntegrityFailed
from shared.ledger.usage import UsageFold, Use

FREE = ""
"""Token of a position that no relay has claimed."""
CLAIM_MAX: Millis = 5 * MINUTE
"""Time beyond any claim of a relay. A position that is claimed for longer was not written by the ledger."""
RULE = "relay_position"
"""Law that a position breaks if the ledger did not write the position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalPosition:
    """Position of the relay and of the usage by day in one account's journal.

    `published` is the number of the last published entry, and `hash` is the hash of that entry; "" if an earlier
    release published the entry. The relay with `token` works on the account until `leased_until` (ms). `moved_at` is
    the time (ms) at which `published` moved last. If `is_clearing` is True, the days are being removed before they are
    added up again. `version` is None if there is no document.
    """

    path: str
    published: int = 0
    hash: str = ""
    token: str = FREE
    leased_until: Millis = 0
    moved_at: Millis = 0
    usage: UsageFold = field(default_factory=UsageFold)
    is_clearing: bool = False
    version: Version | None = None

    def is_behind(self, seq: int) -> bool:
        """Return True if an entry up to `seq` is not published or not added up."""
        return self.published < seq or self.usage.seq < seq or self.is_clearing

    def is_leased(self, now: Millis) -> bool:
        """Return True if a relay works on the account at `now`."""
        return self.token != FREE and now < self.leased_until <= now + CLAIM_MAX

    def freed(self) -> "JournalPosition":
        """Return the position without the lease."""
        return replace(self, token=FREE, leased_until=0)

    def write(self) -> Write:
        """Return the write of this position. The commit fails if the document has changed since `version`."""
        opened = {hold: list(use) for hold, use in self.usage.open.items()}
        data: Data = {
            "seq": self.usage.seq,
            "open": canonical(opened).decode(),
            "is_clearing": self.is_clearing,
            "relay": {
                "seq": self.published,
                "hash": self.hash,
                "token": self.token,
                "leased_until": self.leased_until,
                "moved_at": self.moved_at,
            },
        }
        return Create(self.path, data) if self.version is None else Put(self.path, data, self.version)


def position_path(uid: Uid) -> str:
    """Return `accounts/{uid}/relay/usage`, the path of the position."""
    return f"{account_path(uid)}/relay/usage"


def older_position_path(uid: Uid) -> str:
    """Return `accounts/{uid}/relay/position`, where earlier releases stored the relay's part."""
    return f"{account_path(uid)}/relay/position"


def read_position(documents: Documents, uid: Uid) -> JournalPosition:
    """Return the account's position. Reads one document, and a second one if an earlier release wrote the first.

    Raises IntegrityFailed if the ledger did not write a document; StoreUnavailable.
    """
    document = documents.get(position_path(uid))
    is_whole = document is not None and document.data.get("relay") is not None
    older = None if is_whole else documents.get(older_position_path(uid))
    return position_in(uid, document, older)


def position_in(uid: Uid, document: Document | None, older: Document | None = None) -> JournalPosition:
    """Return the position in the documents. Raises IntegrityFailed if the ledger did not write a document."""
    known: Mapping[str, Any] = {} if document is None else document.data
    try:
        relay = _older(older) if known.get("relay") is None else known["relay"]
        position = JournalPosition(
            path=position_path(uid),
            published=_number(relay["seq"]),
            hash=_text(relay["hash"]),
            token=_text(relay["token"]),
            leased_until=_number(relay["leased_until"]),
            moved_at=_number(relay["moved_at"]),
        )
        if document is None:
            return position
        usage = UsageFold(seq=_number(known["seq"]), open=_open_uses(_text(known["open"])))
        is_clearing = known["is_clearing"]
        if not isinstance(is_clearing, bool):
            raise TypeError("not a boolean")
    except UNREADABLE as error:
        raise IntegrityFailed(uid=uid, seq=0, rule=RULE) from error
    return replace(position, usage=usage, is_clearing=is_clearing, version=document.version)


def _open_uses(text: str) -> Mapping[str, Use]:
    opened: Mapping[str, Sequence[str]] = orjson.loads(text)
    return {hold: Use(*map(_text, use)) for hold, use in opened.items()}


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("not a number of ours")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def commit_position(documents: Documents, position: JournalPosition, *beside: Write) -> JournalPosition:
    """Store the position with the writes beside it, and return the position with the new version.

    Raises the errors of `Documents.commit`.
    """
    return replace(position, version=documents.commit([position.write(), *beside])[0])


def _older(document: Document | None) -> Mapping[str, Any]:
    """Return the relay's part in the form of an earlier release, without hash and lease."""
    seq = 0 if document is None else document.data["seq"]
    return {"seq": seq, "hash": "", "token": FREE, "leased_until": 0, "moved_at": 0}
