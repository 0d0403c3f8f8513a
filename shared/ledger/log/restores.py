"""Restore: brings the log of a restored database back to the newest anchored checkpoint, and says so in the log.

The leaves between the backup and that checkpoint stay in the log, since they were signed, but the database no longer
has their entries. A `restore` leaf behind them names the loss. New entries of the same accounts come behind that leaf,
so that an auditor can tell a restored backup from entries that somebody removed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.kernel.canonical import Json, canonical
from shared.kernel.clock import Clock
from shared.kernel.documents import Create, Data, Document, Documents, Put
from shared.kernel.errors import Conflict, InvalidValue
from shared.ledger.key_ring import KeyRing
from shared.ledger.log.anchors import TILES_AT_ONCE, AnchoredTree, Anchors, new_tiles
from shared.ledger.log.checkpoints import Checkpoint
from shared.ledger.log.head import EMPTY_HEAD, HEAD_PATH, LogBroken, TreeHead, head_data, stored_head, tile_path
from shared.ledger.log.merkle import root_at
from shared.ledger.log.signer import require_continued
from shared.ledger.log.tile_reader import TileReader
from shared.ledger.log.tiles import TILE_HEIGHT, TILE_WIDTH, hashes_of, tile_root
from shared.ledger.log.typed_leaves import queue_leaf

RESTORE_CONTEXT = b"ics-restore-v1:"
WORDS_MAX = 500
WHO_MAX = 100
KEPT_FIELDS = ("books", "figures")
"""Fields beside the tree of the stored head that a restore keeps."""


class NothingLost(Conflict):
    """Refusal to restore a log that has all leaves that were signed."""

    code = "nothing_lost"

    def __init__(self) -> None:
        super().__init__("The log has all leaves that were anchored, so there is nothing to restore.")


class NoAnchors(Conflict):
    """Refusal to restore a log without anchored checkpoints: nothing says what was lost."""

    code = "no_anchors"

    def __init__(self) -> None:
        super().__init__(
            "No checkpoint of this log is anchored, so that nothing says what was lost: set LEDGER_ANCHOR_BUCKET to "
            "the bucket of the anchors."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLoss:
    """Leaves that were signed and that the database no longer has: those behind the `stored` head.

    `kept` are the fields beside the stored head that stay: the books of the entries that the database has.
    """

    stored: TreeHead
    anchored: Checkpoint
    kept: Data = field(default_factory=dict)
    version: object | None = None

    @property
    def leaves(self) -> int:
        """Number of lost leaves."""
        return self.anchored.size - self.stored.size


class LogRestore:
    """Restore of one log from the bucket. Two runs at once, or a run after a crash, restore once.

    `anchors` is None if the settings name no bucket.
    """

    def __init__(self, documents: Documents, anchors: Anchors | None, keys: KeyRing, clock: Clock) -> None:
        self._documents = documents
        self._anchors = anchors
        self._keys = keys
        self._clock = clock

    def loss(self) -> LogLoss | None:
        """Return the loss, None if the log has all anchored leaves. Changes nothing.

        Raises NoAnchors, StoreUnavailable, StorageUnavailable; LogBroken if the head is no earlier one of the anchored
        log, so that no backup of that log is restored here.
        """
        document = self._documents.get(HEAD_PATH)
        stored = EMPTY_HEAD if document is None else stored_head(document.data)
        newest = None if self._anchors is None else self._anchors.newest()
        if newest is None:
            raise NoAnchors
        anchored = newest.checkpoint
        if stored.size >= anchored.size:
            require_continued(anchored, stored, TileReader(self._documents, stored).hash_at)
            return None
        tree = self._tree(anchored)
        if root_at(anchored.size, tree.hash_at) != anchored.root:
            raise LogBroken("anchor", "The anchored tiles do not give the root of the anchored checkpoint.")
        if root_at(stored.size, tree.hash_at) != stored.root:
            raise LogBroken("split", "The log of this database is no earlier part of the anchored one.")
        return LogLoss(stored=stored, anchored=anchored, kept=_kept(document), version=_version(document))

    def restore(self, *, by: str, reason: str) -> LogLoss:
        """Restore the log, queue the `restore` leaf, and return the loss. `by` and `reason` stay in the log for ever.

        Raises NothingLost, InvalidValue, PreconditionFailed if the head changed meanwhile, and the errors of `loss`.
        """
        _require_words("by", by, WHO_MAX)
        _require_words("reason", reason, WORDS_MAX)
        loss = self.loss()
        if loss is None:
            raise NothingLost
        tree = self._tree(loss.anchored)
        self._write_tiles(tree, loss)
        data = {**head_data(tree.head(loss.anchored.root)), **loss.kept}
        head = Create(HEAD_PATH, data) if loss.version is None else Put(HEAD_PATH, data, loss.version)
        at = self._clock.now()
        leaf = queue_leaf("restore", f"restore-{loss.anchored.size}", self._body(loss, by, reason, at), at)
        self._documents.commit([head, leaf])
        return replace(loss, version=None)

    def _tree(self, anchored: Checkpoint) -> AnchoredTree:
        assert self._anchors is not None, "an anchored checkpoint came from there"
        return AnchoredTree(self._anchors, anchored.size)

    def _write_tiles(self, tree: AnchoredTree, loss: LogLoss) -> None:
        """Write the full tiles that the database lacks. They count once the head is written. Raises LogBroken."""
        full = [tile for tile in new_tiles(loss.stored.size, loss.anchored.size) if tile[2] == TILE_WIDTH]
        for start in range(0, len(full), TILES_AT_ONCE):
            some = full[start : start + TILES_AT_ONCE]
            self._documents.commit([_tile_write(tree, level, number) for level, number, _ in some])

    def _body(self, loss: LogLoss, by: str, reason: str, at: int) -> dict[str, Json]:
        """Return the leaf's body, signed by the ledger's key: the log vouches for order and time alone."""
        kid = self._keys.kid_at(at)
        body: dict[str, Json] = {
            "at": at,
            "by": by,
            "kid": kid,
            "lost": loss.leaves,
            "origin": loss.anchored.origin,
            "reason": reason,
            "restored_root": loss.stored.root.hex(),
            "restored_size": loss.stored.size,
            "root": loss.anchored.root.hex(),
            "size": loss.anchored.size,
        }
        return {**body, "signature": self._keys.sign(RESTORE_CONTEXT, restore_body_to_sign(body), kid)}


def restore_body_to_sign(body: Mapping[str, Json]) -> bytes:
    """Return the bytes that the signature of a `restore` leaf's body is over, behind RESTORE_CONTEXT."""
    return canonical({name: value for name, value in body.items() if name != "signature"})


def _tile_write(tree: AnchoredTree, level: int, number: int) -> Put:
    """Return the write of a full tile. Raises LogBroken unless the tile above has the root of this one."""
    hashes = tree.tile(level, number)
    if tile_root(hashes_of(hashes)) != tree.hash_at((level + 1) * TILE_HEIGHT, number):
        raise LogBroken("anchor", f"The anchored tile {number} of level {level} does not fit the tile above.")
    return Put(tile_path(level, number), {"hashes": hashes})


def _require_words(name: str, text: str, characters_max: int) -> None:
    if not text.strip() or len(text) > characters_max:
        raise InvalidValue(name, f"must have 1 to {characters_max} characters")


def _kept(document: Document | None) -> Data:
    return {} if document is None else {name: document.data[name] for name in KEPT_FIELDS if name in document.data}


def _version(document: Document | None) -> object | None:
    return None if document is None else document.version
