"""Receipts of entries: at most seven documents read, in three round trips.

Read at once are the entry, the account's position and the signed head; then the page of an old run, if need be; then
three tiles. A checkpoint that was read before a newer position proves less, never something wrong.
"""

import orjson

from shared.kernel.documents import Documents
from shared.kernel.ids import Uid
from shared.ledger.document_paths import SEQ_MAX, entry_path
from shared.ledger.errors import EntryNotFound, EntryRedacted, IntegrityFailed, NotLoggedYet, UnknownKey
from shared.ledger.key_ring import KeyRing
from shared.ledger.links import entry_rule
from shared.ledger.log.leaves import entry_leaf
from shared.ledger.log.merkle import leaf_hash
from shared.ledger.log.position import leaf_index, position_path, stored_position
from shared.ledger.log.proof_receipts import ProofReceipt
from shared.ledger.log.proof_text import ProofText
from shared.ledger.log.proofs import prove_inclusion
from shared.ledger.log.signed_heads import CHECKPOINT_PATH, SignedHead, stored_signed_head
from shared.ledger.log.tile_reader import TileReader
from shared.ledger.stored_entries import StoredEntry, stored_entry

PROOF_READS_MAX = 7
"""Most documents of a receipt: entry, position, checkpoint, a page of runs, and three tiles."""


class EntryProofs:
    """Maker of receipts for the entries of one ledger."""

    def __init__(self, documents: Documents, keys: KeyRing, ledger: str) -> None:
        self._documents = documents
        self._keys = keys
        self._ledger = ledger

    def receipt(self, uid: Uid, seq: int) -> ProofReceipt:
        """Return the entry with its proof, both verified.

        Raises EntryNotFound, EntryRedacted, NotLoggedYet; IntegrityFailed if the entry or the position were edited,
        LogBroken if the log does not hold the entry; UnknownKey, StoreUnavailable.
        """
        if not 1 <= seq <= SEQ_MAX:
            raise EntryNotFound
        paths = [entry_path(uid, seq), position_path(uid), CHECKPOINT_PATH]
        document, position_document, checkpoint = self._documents.get_all(paths)
        if document is None:
            raise EntryNotFound
        entry = self._sound(uid, seq, stored_entry(document))
        if entry.redaction is not None:
            raise EntryRedacted
        position = stored_position(uid, position_document)
        if position.parked is not None and seq >= position.parked.seq:
            raise IntegrityFailed(uid=uid, seq=position.parked.seq, rule=position.parked.rule)
        index = leaf_index(self._documents, position, seq)
        signed = None if checkpoint is None else stored_signed_head(checkpoint)
        if index is None or signed is None or index >= signed.head.size:
            raise NotLoggedYet
        return self._proved(entry, index, signed)

    def _sound(self, uid: Uid, seq: int, entry: StoredEntry) -> StoredEntry:
        """Return the entry if its hash and signature are right. Raises IntegrityFailed, UnknownKey."""
        rule = entry_rule([entry], self._keys, ledger=self._ledger, uid=uid, seq=seq)
        if rule is not None:
            raise IntegrityFailed(uid=uid, seq=seq, rule=rule)
        return entry

    def _proved(self, entry: StoredEntry, index: int, signed: SignedHead) -> ProofReceipt:
        leaf = leaf_hash(entry_leaf(entry.hash, entry.signature))
        hashes = prove_inclusion(leaf, index, signed.head, TileReader(self._documents, signed.head))
        kid = str(orjson.loads(entry.body)["kid"])
        return ProofReceipt(
            body=entry.body,
            hash=entry.hash,
            signature=entry.signature,
            kid=kid,
            public_key=self._public_key(kid),
            log=signed.vkey,
            proof=str(ProofText(index=index, hashes=tuple(hashes), note=str(signed.note))),
        )

    def _public_key(self, kid: str) -> str:
        """Return the key that verified the entry, base64. Raises UnknownKey if the registry lost the key just now."""
        for key in self._keys.registry:
            if key.kid == kid:
                return key.public_key
        raise UnknownKey(kid)
