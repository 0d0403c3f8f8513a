"""Reader of archives: the sealed statements, and the proof that the log names each of them."""

from shared.kernel.documents import Documents
from shared.kernel.ids import Uid
from shared.ledger.archives import (
    JournalArchive,
    archive_in,
    archive_path,
    archive_problem,
    leaf_body,
    leaf_name,
)
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import ARCHIVE_CONTEXT
from shared.ledger.log.head import LogBroken
from shared.ledger.log.leaves import typed_leaf
from shared.ledger.log.merkle import leaf_hash
from shared.ledger.log.proofs import prove_inclusion
from shared.ledger.log.signed_heads import read_signed_head
from shared.ledger.log.tile_reader import TileReader
from shared.ledger.log.typed_leaves import TypedLeaf, read_leaf

UNNAMED = "the log does not name the archive"


class Archives:
    """Reader of the archives of one ledger."""

    def __init__(self, documents: Documents, keys: KeyRing, ledger: str) -> None:
        self._documents = documents
        self._keys = keys
        self._ledger = ledger

    def find(self, uid: Uid) -> JournalArchive | None:
        """Return the account's archive, None if nothing is archived. Raises StoreUnavailable, SchemaUnknown."""
        found = self._documents.get(archive_path(uid))
        return None if found is None else archive_in(found)

    def was_archived(self, uid: Uid) -> bool:
        """Return True if the account has an archive, or had one that ended. Raises StoreUnavailable."""
        return self._documents.get(archive_path(uid)) is not None

    def has(self, uid: Uid, seq: int) -> bool:
        """Return True if the entry is archived, or will be. Raises StoreUnavailable."""
        found = self.find(uid)
        return found is not None and seq <= found.last

    def seal_problem(self, uid: Uid, archive: JournalArchive) -> str | None:
        """Return a sentence if the ledger did not write the archive; see `archive_problem`. Raises UnknownKey."""
        return archive_problem(archive, self._keys, ledger=self._ledger, uid=uid)

    def problem(self, uid: Uid, archive: JournalArchive) -> str | None:
        """Return a sentence if the ledger did not write the archive, or the log does not name it; None if it does.

        Raises StoreUnavailable, UnknownKey.
        """
        return self.seal_problem(uid, archive) or (None if self.is_named(archive) else UNNAMED)

    def entry_problem(self, uid: Uid, seq: int) -> str | None:
        """Return a sentence unless an archive that the log names has this entry, whose document is gone.

        While a journal is archived again, the archive before counts as well. Raises StoreUnavailable, UnknownKey.
        """
        newest = self.find(uid)
        if newest is None:
            return "no archive has the entry"
        named = (each for each in (newest, newest.former) if each is not None and seq <= each.last)
        problems = [self.problem(uid, each) for each in named]
        return None if None in problems else next(iter(problems), "no archive has the entry")

    def is_named(self, archive: JournalArchive) -> bool:
        """Return True if the served checkpoint has the leaf of the archive. Raises StoreUnavailable."""
        data = typed_leaf("archive", leaf_body(archive.statement, archive.seal))
        try:
            leaf, signed = read_leaf(self._documents, leaf_name(archive.statement)), read_signed_head(self._documents)
            if leaf is None or leaf.data != data or leaf.index is None or signed is None:
                return False
            if leaf.index >= signed.head.size:
                return False
            prove_inclusion(leaf_hash(data), leaf.index, signed.head, TileReader(self._documents, signed.head))
        except LogBroken:
            return False
        return True

    def is_of_ledger(self, leaf: TypedLeaf) -> bool:
        """Return True unless the leaf says to be an archive, and no key in force sealed it. Raises UnknownKey."""
        if leaf.kind != "archive":
            return True
        kid, _, signature = str(leaf.body.get("seal")).partition(":")
        message = str(leaf.body.get("statement")).encode()
        return self._keys.seal_rule(ARCHIVE_CONTEXT, message, kid=kid, signature=signature) is None
