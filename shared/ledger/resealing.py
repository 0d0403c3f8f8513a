"""Resealing: what a key has sealed or marked is sealed and marked again with the keys of today, page by page.

A page is read by path, so that every account and every record is seen once. Commands go on meanwhile: a commit of
theirs seals the account with the key of today too.
"""

from collections.abc import Collection, Sequence

from shared.kernel.clock import Clock
from shared.kernel.documents import Document, Documents, Patch, PreconditionFailed, Query
from shared.kernel.ids import Uid, random_token
from shared.kernel.schemas import RefusedData
from shared.ledger.account_documents import state_path, uid_of
from shared.ledger.audit_position import AuditPositions, position_path
from shared.ledger.errors import IntegrityFailed
from shared.ledger.key_ring import KeyRing
from shared.ledger.record_seals import RecordSeals
from shared.ledger.store import AccountStore

RECORDS = ("holds", "lots", "operations")
"""Collections below an account whose documents carry marks."""
ACCOUNTS_PAGE = 100
RECORDS_PAGE = 300
ATTEMPTS_MAX = 10
"""Most attempts to seal an account again while commands keep changing the account."""


class Resealing:
    """Reader of pages of accounts and records, and writer of new seals and marks."""

    def __init__(self, documents: Documents, keys: KeyRing, ledger: str, clock: Clock) -> None:
        self._documents = documents
        self._keys = keys
        self._ledger = ledger
        self._clock = clock
        self._store = AccountStore(documents, keys, ledger)
        self._positions = AuditPositions(documents, keys, ledger)
        self._records = RecordSeals(keys, ledger)

    def accounts(self, after: str) -> list[Document]:
        """Return the next accounts behind the path `after`. Raises StoreUnavailable."""
        return self._documents.query(Query(collection="accounts", limit=ACCOUNTS_PAGE, after=_behind(after)))

    def sealed_by(self, accounts: Sequence[Document], kids: Collection[str]) -> list[Uid]:
        """Return the accounts whose state or audited position carries a seal of one of the keys `kids`.

        Raises StoreUnavailable.
        """
        uids = [Uid(each.id) for each in accounts]
        paths = [path(uid) for uid in uids for path in (state_path, position_path)]
        found = [*accounts, *(each for each in self._documents.get_all(paths) if each is not None)] if paths else []
        sealed = {uid_of(each.path) for each in found if _sealer(each) in kids}
        return [uid for uid in uids if uid in sealed]

    def reseal(self, uid: Uid, kids: Collection[str]) -> None:
        """Seal the state and the audited position of an account again, if a key of `kids` has sealed them.

        Raises IntegrityFailed if the ledger did not write the account, UnknownKey, NoSigningKey, PreconditionFailed if
        the account changes all the time, OutcomeUnknown, StoreUnavailable.
        """
        for attempt in range(ATTEMPTS_MAX):
            if not self._is_state_sealed_by(uid, kids):
                break
            try:
                self._store.reseal(uid, random_token(), self._clock.now())
            except PreconditionFailed:
                if attempt == ATTEMPTS_MAX - 1:
                    raise
        self._reseal_position(uid, kids)

    def take_over(self, uid: Uid) -> None:
        """Seal an account again that carries the seal of a retired key, after the whole account was verified.

        Raises the errors of `reseal`.
        """
        store = AccountStore(self._documents, self._keys, self._ledger, is_retired_taken=True)
        store.reseal(uid, random_token(), self._clock.now())

    def records(self, collection: str, after: str) -> list[Document]:
        """Return the next records of all accounts behind the path `after`. Raises StoreUnavailable."""
        query = Query(collection=collection, group=True, limit=RECORDS_PAGE, after=_behind(after))
        return self._documents.query(query)

    def marked_by(self, records: Sequence[Document], kids: Collection[str]) -> list[Document]:
        """Return the records whose mark names one of the keys `kids`."""
        return [each for each in records if each.path.startswith("accounts/") and _sealer(each) in kids]

    def mark_again(self, records: Sequence[Document]) -> list[IntegrityFailed]:
        """Mark the records again, and return a failure for each that the ledger did not write.

        A record that changes or ends meanwhile is left out. Raises UnknownKey, OutcomeUnknown, StoreUnavailable.
        """
        writes, failures = list[Patch](), list[IntegrityFailed]()
        for record in records:
            try:
                writes.append(self._records.marked_again(record))
            except IntegrityFailed as failure:
                failures.append(failure)
        try:
            if writes:
                self._documents.commit(writes)
        except PreconditionFailed:
            for write in writes:
                self._commit_alone(write)
        return failures

    def _commit_alone(self, write: Patch) -> None:
        try:
            self._documents.commit([write])
        except PreconditionFailed:
            return

    def _is_state_sealed_by(self, uid: Uid, kids: Collection[str]) -> bool:
        sealed = self._store.stored(uid).state
        return sealed is not None and _sealer(sealed) in kids

    def _reseal_position(self, uid: Uid, kids: Collection[str]) -> None:
        """Seal the audited position again. A position that cannot be used is the audit's to find."""
        document = self._documents.get(position_path(uid))
        if document is None or _sealer(document) not in kids:
            return
        stored = self._positions.read(uid)
        if stored.refused or stored.version is None:
            return
        try:
            self._positions.store(uid, stored.position, stored.version)
        except PreconditionFailed:
            return


def _sealer(document: Document) -> str:
    """Return the id of the key in front of a document's seal; empty without a seal or for data of a newer release."""
    if isinstance(document.data, RefusedData):
        return ""
    return str(document.data.get("seal") or "").partition(":")[0]


def _behind(path: str) -> tuple[str, ...] | None:
    return (path,) if path else None
