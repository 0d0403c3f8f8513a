"""Edits of checkpoints, anchors and whole databases: who finds each, within which time, by which rule.

`has_bucket` is False for a log without anchors, whose past only a witness keeps. `harm` edits at a random place of a
log that was signed three times and that a witness has cosigned.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.kernel.documents import Delete, Patch, Put
from shared.ledger.log.anchors import checkpoint_name
from shared.ledger.log.checkpoints import Checkpoint
from shared.ledger.log.head import EMPTY_HEAD, HEAD_PATH, TreeHead, head_data
from shared.ledger.log.notes import SeedSigner, signed
from shared.ledger.log.signed_heads import CHECKPOINT_PATH
from shared.ledger.log.witnesses import LogWitness
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.objects import MemoryAnchors
from shared.platform.memory.witness import MemoryWitness
from tests.support.logs import ORIGIN, SignedLog, append, leaves

Finder = Literal["signer", "witness", "verifier", "bucket", "nobody: the anchored one is served again"]
Within = Literal["the next minute with an entry", "ten minutes", "the next proof", "at once"]
Harm = Callable[["SignedPast", random.Random], None]
Log = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointEdit:
    """Class of edits. `rule` is that of the alert `log_inconsistent`; the witness's alert has none."""

    harm: Harm
    finder: Finder = "signer"
    within: Within = "the next minute with an entry"
    rule: str = ""
    has_bucket: bool = True


@dataclass(slots=True)
class SignedPast:
    """Log with three checkpoints of random sizes, and its documents after each."""

    log: Log
    sizes: list[int] = field(default_factory=list)
    past: list[Mapping[str, Any]] = field(default_factory=list)

    def put_back(self, moment: int, *paths: str) -> None:
        """Put documents back as they were after that checkpoint: all of them if none is named."""
        documents, old = self.log.documents, self.past[moment]
        for path in paths or list(documents._documents):
            documents.commit([Put(path, old[path].data) if path in old else Delete(path)])

    def forge(self, size: int) -> TreeHead:
        """Put another tree in place of the log's."""
        return append(self.log.documents, leaves(0, size, "forged"), EMPTY_HEAD)


def signed_past(chosen: random.Random, *, has_bucket: bool) -> SignedPast:
    witness = MemoryWitness("witness.example", bytes(range(1, 33)), ManualClock())
    asked = [LogWitness(vkey=witness.vkey, url="https://witness.example")]
    log: Log = SignedLog(objects=MemoryAnchors() if has_bucket else None, calls=witness, witnesses=asked)
    witness.trust(log.key.vkey)
    made = SignedPast(log)
    for _ in range(3):
        first = made.sizes[-1] if made.sizes else 0
        made.sizes.append(first + chosen.choice([1, 2, 7, 255, 256, 300]))
        log.append(leaves(first, made.sizes[-1]))
        log.sign()
        made.past.append(dict(log.documents._documents))
    return made


def _head_put_back(made: SignedPast, chosen: random.Random) -> None:
    made.put_back(chosen.randrange(2), HEAD_PATH)


def _head_put_back_and_grown(made: SignedPast, chosen: random.Random) -> None:
    moment = chosen.randrange(2)
    made.put_back(moment, HEAD_PATH)
    made.log.append(leaves(made.sizes[moment], made.sizes[2] + chosen.randrange(300), "after"))


def _head_deleted(made: SignedPast, _chosen: random.Random) -> None:
    made.log.documents.commit([Delete(HEAD_PATH)])


def _tree_forged(made: SignedPast, chosen: random.Random) -> None:
    made.forge(made.sizes[2] + chosen.choice([0, 1, 300]))


def _tree_forged_with_its_checkpoint(made: SignedPast, chosen: random.Random) -> None:
    """Forge the tree and the served checkpoint with the log's own key, as its thief does."""
    head = made.forge(made.sizes[2] + chosen.choice([0, 1, 300]))
    _serve(made, head, SeedSigner(ORIGIN, bytes(range(32))))


def _serve(made: SignedPast, head: TreeHead, signer: SeedSigner) -> None:
    note = signed(str(Checkpoint(origin=ORIGIN, size=head.size, root=head.root)), signer)
    data = {**head_data(head), "note": str(note), "vkey": str(signer.vkey)}
    made.log.documents.commit([Put(CHECKPOINT_PATH, data)])


def _database_put_back(made: SignedPast, chosen: random.Random) -> None:
    """Restore the whole database, with the cursor of the job."""
    moment = chosen.randrange(2)
    made.put_back(moment)
    made.log.cursor = f"anchored {made.sizes[moment]} {made.log.served().head.root.hex()}"


def _database_put_back_and_grown(made: SignedPast, chosen: random.Random) -> None:
    _database_put_back(made, chosen)
    size = made.log.served().head.size
    made.log.append(leaves(size, size + chosen.choice([1, 2, 300]), "after"))


def _database_gone(made: SignedPast, _chosen: random.Random) -> None:
    made.log.documents, made.log.cursor = MemoryDocuments(), ""


def _edited(made: SignedPast, chosen: random.Random, first: int, end: int) -> None:
    """Change one character of the note between two places."""
    note = str(made.log.served().note)
    at = first + chosen.randrange(end - first)
    other = chosen.choice([each for each in "xX+/=9 " if each != note[at]])
    made.log.documents.commit([Patch(CHECKPOINT_PATH, {"note": f"{note[:at]}{other}{note[at + 1 :]}"})])


def _note_edited(made: SignedPast, chosen: random.Random) -> None:
    _edited(made, chosen, 0, str(made.log.served().note).index("— witness"))


def _cosignature_edited(made: SignedPast, chosen: random.Random) -> None:
    note = str(made.log.served().note)
    _edited(made, chosen, note.index("witness.example ") + len("witness.example "), len(note) - 1)


def _note_of_another_type(made: SignedPast, chosen: random.Random) -> None:
    wrong: Any = chosen.choice([None, 1, True, b"x", [], {}, "", "x" * 900_000])
    made.log.documents.commit([Patch(CHECKPOINT_PATH, {"note": wrong})])


def _note_put_back(made: SignedPast, chosen: random.Random) -> None:
    """Serve the note of an earlier tree beside the newer tree."""
    note = made.past[chosen.randrange(2)][CHECKPOINT_PATH].data["note"]
    made.log.documents.commit([Patch(CHECKPOINT_PATH, {"note": note})])


def _note_of_another_key(made: SignedPast, _chosen: random.Random) -> None:
    _serve(made, made.log.served().head, SeedSigner(ORIGIN, bytes(32)))


def _note_of_another_log(made: SignedPast, _chosen: random.Random) -> None:
    signer = SeedSigner("other.example", bytes(range(32)))
    head = made.log.served().head
    note = signed(str(Checkpoint(origin="other.example", size=head.size, root=head.root)), signer)
    made.log.documents.commit([Patch(CHECKPOINT_PATH, {"note": str(note)})])


def _tree_of_checkpoint_edited(made: SignedPast, chosen: random.Random) -> None:
    name = chosen.choice(["size", "root", "edge"])
    tree = made.log.documents.get(CHECKPOINT_PATH).data["tree"]
    wrong: Any = chosen.choice([None, "x", b"x", -1, 2**62, True])
    made.log.documents.commit([Patch(CHECKPOINT_PATH, {"tree": {**tree, name: wrong}})])


def _checkpoint_put_back(made: SignedPast, chosen: random.Random) -> None:
    made.put_back(chosen.randrange(2), CHECKPOINT_PATH)


def _checkpoint_deleted(made: SignedPast, _chosen: random.Random) -> None:
    made.log.documents.commit([Delete(CHECKPOINT_PATH)])


def _all_traces_forged(made: SignedPast, chosen: random.Random) -> None:
    """Delete the served checkpoint, and put another tree, so that the database has no trace of the first."""
    _checkpoint_deleted(made, chosen)
    _tree_forged(made, chosen)
    made.log.cursor = ""


def _anchor_ahead(made: SignedPast, chosen: random.Random) -> None:
    """Anchor a larger tree with the log's own key, as its thief does."""
    size = made.sizes[2] + chosen.randrange(1, 10**6)
    note = signed(
        str(Checkpoint(origin=ORIGIN, size=size, root=chosen.randbytes(32))), SeedSigner(ORIGIN, bytes(range(32)))
    )
    made.log.objects.put(checkpoint_name(size), str(note).encode(), "text/plain")


def _anchored_tile_in_advance(made: SignedPast, _chosen: random.Random) -> None:
    """Put a tile of chance where the next tile goes."""
    size = made.sizes[2] + 1
    partial = f".p/{size % 256}" if size % 256 else ""
    made.log.objects.put(f"tile/0/{(size - 1) // 256:03d}{partial}", bytes(32 * (size % 256 or 256)), "x")


EDITS: Mapping[str, CheckpointEdit] = {
    "head: put back": CheckpointEdit(harm=_head_put_back, rule="behind"),
    "head: put back, no bucket": CheckpointEdit(harm=_head_put_back, rule="behind", has_bucket=False),
    "head: put back and grown": CheckpointEdit(harm=_head_put_back_and_grown, rule="split"),
    "head: put back and grown, no bucket": CheckpointEdit(
        harm=_head_put_back_and_grown, rule="split", has_bucket=False
    ),
    "head: deleted": CheckpointEdit(harm=_head_deleted, rule="behind", within="ten minutes"),
    "tree: another": CheckpointEdit(harm=_tree_forged, rule="split"),
    "tree: another, no bucket": CheckpointEdit(harm=_tree_forged, rule="split", has_bucket=False),
    "split view: tree and checkpoint by the stolen key": CheckpointEdit(
        harm=_tree_forged_with_its_checkpoint, rule="split"
    ),
    "split view: tree and checkpoint by the stolen key, no bucket": CheckpointEdit(
        harm=_tree_forged_with_its_checkpoint, finder="witness", has_bucket=False
    ),
    "split view: no trace left": CheckpointEdit(harm=_all_traces_forged, rule="split"),
    "split view: no trace left, no bucket": CheckpointEdit(harm=_all_traces_forged, finder="witness", has_bucket=False),
    "database: put back": CheckpointEdit(harm=_database_put_back, rule="behind", within="ten minutes"),
    "database: put back and grown": CheckpointEdit(harm=_database_put_back_and_grown, rule="*"),
    "database: put back and grown, no bucket": CheckpointEdit(
        harm=_database_put_back_and_grown, finder="witness", has_bucket=False
    ),
    "database: gone": CheckpointEdit(harm=_database_gone, rule="behind", within="ten minutes"),
    "checkpoint: note edited": CheckpointEdit(harm=_note_edited, rule="checkpoint"),
    "checkpoint: note edited, no bucket": CheckpointEdit(harm=_note_edited, rule="checkpoint", has_bucket=False),
    "checkpoint: cosignature edited": CheckpointEdit(
        harm=_cosignature_edited, finder="verifier", within="the next proof"
    ),
    "checkpoint: note of another type": CheckpointEdit(harm=_note_of_another_type, rule="checkpoint"),
    "checkpoint: note of an earlier tree": CheckpointEdit(harm=_note_put_back, rule="checkpoint"),
    "checkpoint: note of another key": CheckpointEdit(harm=_note_of_another_key, rule="checkpoint"),
    "checkpoint: note of another log": CheckpointEdit(harm=_note_of_another_log, rule="checkpoint"),
    "checkpoint: tree edited": CheckpointEdit(harm=_tree_of_checkpoint_edited, rule="head"),
    "checkpoint: put back": CheckpointEdit(
        harm=_checkpoint_put_back, finder="nobody: the anchored one is served again", within="ten minutes"
    ),
    "checkpoint: deleted": CheckpointEdit(
        harm=_checkpoint_deleted, finder="nobody: the anchored one is served again", within="ten minutes"
    ),
    "anchor: a larger one by the stolen key": CheckpointEdit(harm=_anchor_ahead, rule="behind"),
    "anchor: a tile in advance": CheckpointEdit(harm=_anchored_tile_in_advance, rule="anchor"),
}
