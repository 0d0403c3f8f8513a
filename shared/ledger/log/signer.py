"""Signer of checkpoints: holds the new tree against every tree that was signed before, signs, anchors, then serves.

Order of the acts: tiles to the bucket, signature, checkpoint to the bucket, witnesses, served document. After a crash
between two acts nothing is served that is not anchored, and the next run continues at the newest anchor.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from shared.kernel.deadline import Deadline
from shared.kernel.documents import Document, Documents, PreconditionFailed
from shared.kernel.errors import Unavailable
from shared.kernel.events import Alerts, log
from shared.ledger.log.anchors import AnchoredCheckpoint, Anchors
from shared.ledger.log.checkpoints import Checkpoint
from shared.ledger.log.head import EMPTY_HEAD, HEAD_PATH, LogBroken, TreeHead, stored_head
from shared.ledger.log.merkle import HashAt, consistency_proof, is_consistent
from shared.ledger.log.notes import ForgedNote, NoteSigner, SignedNote, VerifierKey, signed
from shared.ledger.log.signed_heads import CHECKPOINT_PATH, SignedHead, stored_signed_head
from shared.ledger.log.tile_reader import TileReader
from shared.ledger.log.witnesses import ProofFrom, Witnesses

LEAVES_PER_CHUNK = 1 << 16
"""Leaves whose tiles are anchored before the deadline is looked at again: 257 tiles."""
LOOK_AGAIN_SECONDS = 600.0
"""Time after which an instance compares an idle log with the anchors again: a restored database is idle at first."""
UNFINISHED = "unfinished"
"""Cursor while tiles are to be anchored, or a silent witness is to be asked again."""


class LogKeyUnavailable(Unavailable):
    """Error for a key of the log that made no signature. The next run signs."""

    code = "log_key_unavailable"

    def __init__(self, detail: str = "The key of the log gave no signature.") -> None:
        super().__init__(detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningParts:
    """Parts of the signer. `anchors` is None without a bucket. `former_keys` signed earlier checkpoints of this log."""

    documents: Documents
    origin: str
    signer: NoteSigner
    former_keys: Sequence[VerifierKey]
    anchors: Anchors | None
    witnesses: Witnesses
    alerts: Alerts

    @property
    def keys(self) -> Sequence[VerifierKey]:
        """All keys that ever signed checkpoints of this log."""
        return (self.signer.vkey, *self.former_keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """Checkpoints that were signed before. `document` is the stored one of `served`, None if there is none."""

    served: SignedHead | None
    anchored: AnchoredCheckpoint | None
    document: Document | None

    @property
    def checkpoints(self) -> Sequence[Checkpoint]:
        return [each.checkpoint for each in (self.served, self.anchored) if each is not None]

    def note_of(self, head: TreeHead) -> SignedNote | None:
        """Return the note that signs this head already, with the most signatures; None if none does."""
        found = (each for each in (self.served, self.anchored) if each and each.checkpoint.size == head.size)
        return next((each.note for each in found), None)


class CheckpointSigner:
    """Signer of the log's head. Of two runs at once the later one stores nothing.

    While the tiles of a large log are anchored for the first time, the signer remembers the last one. Another
    instance begins again, and finds the tiles in the bucket.
    """

    def __init__(self, parts: SigningParts) -> None:
        self._parts = parts
        self._leaves_anchored = 0
        self._look_at: float | None = None

    def sign(self, cursor: str, deadline: Deadline) -> str:
        """Sign a head that grew, and return the new cursor: the tree that is signed, anchored and cosigned.

        A tree that does not continue one signed before raises an alert, once for each head, and is never signed. Raises
        StoreUnavailable, StorageUnavailable, LogKeyUnavailable.
        """
        stored, served = self._parts.documents.get_all([HEAD_PATH, CHECKPOINT_PATH])
        try:
            head = EMPTY_HEAD if stored is None else stored_head(stored.data)
        except LogBroken as error:
            return self._refused(error, EMPTY_HEAD, cursor)
        if cursor == self._finished(head) and not self._is_look_due(deadline):
            return cursor
        try:
            return self._signed(head, served, deadline)
        except LogBroken as error:
            return self._refused(error, head, cursor)

    def _finished(self, head: TreeHead) -> str:
        """Return the cursor behind a head with nothing left to do. A bucket named later makes another cursor."""
        return _cursor("signed" if self._parts.anchors is None else "anchored", head)

    def _refused(self, error: LogBroken, head: TreeHead, cursor: str) -> str:
        log("checkpoint_refused", "ERROR", size=head.size, **error.params)
        refused = _cursor(f"refused {error.params['rule']}", head)
        if cursor != refused:
            self._parts.alerts.alert("log_inconsistent", size=head.size, **error.params)
        return refused

    def _is_look_due(self, deadline: Deadline) -> bool:
        """Return True if this instance has to compare even a signed head with the anchors: at first, then at times."""
        now = deadline.clock.monotonic()
        is_due = self._parts.anchors is not None and (self._look_at is None or now >= self._look_at)
        if is_due:
            self._look_at = now + LOOK_AGAIN_SECONDS
        return is_due

    def _signed(self, head: TreeHead, served: Document | None, deadline: Deadline) -> str:
        """Carry out all acts for this head, and return the cursor. Raises LogBroken if the head may not be signed."""
        before = self._before(served)
        reader = TileReader(self._parts.documents, head)
        for earlier in before.checkpoints:
            require_continued(earlier, head, reader.hash_at)
        if head.size == 0:
            return self._finished(head)
        note = before.note_of(head)
        if self._parts.anchors is not None and not _is_anchored(before, head):
            if not self._has_anchored_tiles(self._parts.anchors, before, reader, head, deadline):
                return UNFINISHED
            note = note or self._new_note(head)
            self._parts.anchors.add_checkpoint(self._bare(note))
        note = note or self._new_note(head)
        seen = before.served.note if before.served else None
        cosigning = self._parts.witnesses.cosign(note, _proofs(reader, head), seen)
        self._serve(head, cosigning.note, before)
        return self._finished(head) if cosigning.is_over else UNFINISHED

    def _before(self, document: Document | None) -> _Before:
        """Return the served and the anchored checkpoint.

        A served checkpoint that was edited is an alert and left aside, since the anchored one is the truth. Without a
        bucket there is no other truth: raises LogBroken.
        """
        anchored = None if self._parts.anchors is None else self._parts.anchors.newest()
        try:
            served = None if document is None else self._ours(stored_signed_head(document))
        except LogBroken as error:
            if anchored is None:
                raise
            self._parts.alerts.alert("log_inconsistent", size=anchored.checkpoint.size, **error.params)
            served = None
        return _Before(served=served, anchored=anchored, document=document)

    def _ours(self, served: SignedHead) -> SignedHead:
        try:
            is_ours = bool(served.note.signatures_by(self._parts.keys))
        except ForgedNote:
            is_ours = False
        if not is_ours or served.checkpoint.origin != self._parts.origin:
            raise LogBroken("checkpoint", "The stored checkpoint is not signed by the key of this log.")
        return served

    def _has_anchored_tiles(
        self, anchors: Anchors, before: _Before, reader: TileReader, head: TreeHead, deadline: Deadline
    ) -> bool:
        """Anchor the tiles beyond those of the newest anchored checkpoint. Return False if the time was up before."""
        first = before.anchored.checkpoint.size if before.anchored else 0
        first = max(first, min(self._leaves_anchored, head.size // LEAVES_PER_CHUNK * LEAVES_PER_CHUNK))
        while first < head.size:
            if deadline.is_over():
                return False
            end = min(head.size, (first // LEAVES_PER_CHUNK + 1) * LEAVES_PER_CHUNK)
            anchors.add_tiles(reader, first, end)
            first = self._leaves_anchored = end
        return True

    def _new_note(self, head: TreeHead) -> SignedNote:
        """Sign the head, with one call of the key. Raises LogKeyUnavailable, also for a signature of another key."""
        checkpoint = Checkpoint(origin=self._parts.origin, size=head.size, root=head.root)
        note = signed(str(checkpoint), self._parts.signer)
        try:
            note.signatures_by([self._parts.signer.vkey])
        except ForgedNote as error:
            raise LogKeyUnavailable("The signature is not by the key that the settings name.") from error
        log("checkpoint_signed", size=head.size)
        return note

    def _bare(self, note: SignedNote) -> SignedNote:
        """Return the note with the signatures of the log alone, which are the same after every signing."""
        return SignedNote(note.text, tuple(note.signatures_by(self._parts.keys).values()))

    def _serve(self, head: TreeHead, note: SignedNote, before: _Before) -> None:
        if before.served is not None and before.served.note == note:
            return
        vkey = next(iter(note.signatures_by(self._parts.keys)))
        version = None if before.document is None else before.document.version
        served = SignedHead(head=head, note=note, vkey=str(vkey), version=version)
        try:
            self._parts.documents.commit([served.write()])
        except PreconditionFailed:
            log("checkpoint_overtaken", size=head.size)


class AnchorGate:
    """Check that the database is not older than the anchors, before leaves are appended to the head."""

    def __init__(self, documents: Documents, anchors: Anchors | None) -> None:
        self._documents = documents
        self._anchors = anchors

    def require_newest(self, head: TreeHead) -> None:
        """Raise LogBroken if a larger tree was signed, or another one of the same size. Raises StorageUnavailable.

        A restored database appends nothing: new leaves would take the places of leaves that are signed already.
        """
        newest = self._served() if self._anchors is None else self._anchors.newest()
        if newest is not None and newest.checkpoint.size >= head.size:
            require_continued(newest.checkpoint, head, _no_hash)

    def _served(self) -> SignedHead | None:
        """Return the served checkpoint. With a bucket nobody asks: an edited one must not stop the log."""
        document = self._documents.get(CHECKPOINT_PATH)
        return None if document is None else stored_signed_head(document)


def require_continued(earlier: Checkpoint, head: TreeHead, hash_at: HashAt) -> None:
    """Raise LogBroken unless the head's tree begins with the tree of an earlier checkpoint."""
    if head.size < earlier.size:
        raise LogBroken("behind", f"The log has {head.size} leaves, and {earlier.size} were signed before.")
    proof = consistency_proof(earlier.size, head.size, hash_at) if earlier.size else ()
    if not is_consistent(earlier.size, earlier.root, head.size, head.root, proof):
        raise LogBroken("split", f"The log does not begin with the {earlier.size} leaves that were signed before.")


def _no_hash(level: int, index: int) -> bytes:
    raise AssertionError(f"trees of one size need no hash ({level}, {index})")


def _is_anchored(before: _Before, head: TreeHead) -> bool:
    return before.anchored is not None and before.anchored.checkpoint.size == head.size


def _proofs(reader: TileReader, head: TreeHead) -> ProofFrom:
    """Return the consistency proofs to this head, one at a time, since the reader is for one thread."""
    turn = threading.Lock()

    def proof_from(size: int) -> Sequence[bytes]:
        with turn:
            return consistency_proof(size, head.size, reader.hash_at)

    return proof_from


def _cursor(word: str, head: TreeHead) -> str:
    return f"{word} {head.size} {head.root.hex()}"
