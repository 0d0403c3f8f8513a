"""Signed head: the checkpoint that is served, with the head that it signs. Proofs of this size need no other head."""

from dataclasses import dataclass

from shared.kernel.documents import Create, Data, Document, Documents, Put, Version
from shared.ledger.log.checkpoints import Checkpoint, parse_checkpoint
from shared.ledger.log.head import LogBroken, TreeHead, head_data, stored_head
from shared.ledger.log.notes import MalformedNote, SignedNote, parse_note

CHECKPOINT_PATH = "ledger_log/checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """Served checkpoint. `vkey` is the key that signed, in the form in which policies name the log.

    `version` is that of the stored document, None if there is none.
    """

    head: TreeHead
    note: SignedNote
    vkey: str
    version: Version | None = None

    @property
    def checkpoint(self) -> Checkpoint:
        """Statement that the note signs."""
        return parse_checkpoint(self.note.text)

    def write(self) -> Create | Put:
        """Return the write that serves this checkpoint. The commit fails if another was stored in the meantime."""
        data: Data = {**head_data(self.head), "note": str(self.note), "vkey": self.vkey}
        if self.version is None:
            return Create(CHECKPOINT_PATH, data)
        return Put(CHECKPOINT_PATH, data, self.version)


def read_signed_head(documents: Documents) -> SignedHead | None:
    """Return the served checkpoint, None before the first. Raises LogBroken, StoreUnavailable."""
    document = documents.get(CHECKPOINT_PATH)
    return None if document is None else stored_signed_head(document)


def stored_signed_head(document: Document) -> SignedHead:
    """Return the checkpoint in a stored document. Raises LogBroken unless the note is about the stored head.

    The signature is not checked here: the signer and each reader of a proof check it with the keys that they trust.
    """
    data = document.data
    head = stored_head(data)
    try:
        note = parse_note(str(data.get("note")))
        checkpoint = parse_checkpoint(note.text)
    except MalformedNote as error:
        raise LogBroken("checkpoint", "The stored checkpoint is no signed checkpoint.") from error
    if (checkpoint.size, checkpoint.root) != (head.size, head.root):
        raise LogBroken("checkpoint", "The stored checkpoint signs another tree than the one beside it.")
    return SignedHead(head=head, note=note, vkey=str(data.get("vkey")), version=document.version)
