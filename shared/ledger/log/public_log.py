"""The log as strangers see it: checkpoint, tiles and consistency proofs, each from few reads.

An instance reads the checkpoint once in CHECKPOINT_SECONDS for all callers. A tile costs one more read, a consistency
proof eight at most in a log of up to 2^32 leaves.
"""

from dataclasses import dataclass

from shared.kernel.clock import Clock
from shared.kernel.documents import Documents
from shared.kernel.errors import InvalidValue, NotFound
from shared.ledger.log.proofs import prove_consistency
from shared.ledger.log.signed_heads import SignedHead, read_signed_head
from shared.ledger.log.tile_names import TileName
from shared.ledger.log.tile_reader import TileNotFound, TileReader

CHECKPOINT_SECONDS = 5
AGAIN_SECONDS = 1
"""Seconds after which the checkpoint is read again early, for a caller who knows a larger one."""


class CheckpointNotFound(NotFound):
    """No checkpoint yet: the log is new."""

    code = "checkpoint_not_found"

    def __init__(self) -> None:
        super().__init__("The log has no checkpoint yet; the first one follows the first entry within two minutes.")


class BundlesNotPublic(NotFound):
    """Request for entry bundles. Leaves of this log are not public, only their hashes are."""

    code = "bundles_not_public"

    def __init__(self) -> None:
        super().__init__("Entry bundles of this log are not public: the entries are its users' own. Tiles are public.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """Proof that the tree of `new` leaves begins with the tree of `old` leaves (RFC 9162 §2.1.4)."""

    old: int
    new: int
    old_root: bytes
    new_root: bytes
    hashes: tuple[bytes, ...]


class PublicLog:
    """Public answers about the log. Safe to share between threads: at worst, two of them read the checkpoint."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._known: tuple[float, SignedHead | None] | None = None

    def checkpoint(self) -> SignedHead:
        """Return the served checkpoint, at most CHECKPOINT_SECONDS old. Raises CheckpointNotFound, LogBroken."""
        return self._reaching(0)

    def tile(self, name: TileName) -> bytes:
        """Return the hashes of a tile of the signed tree. Raises TileNotFound, LogBroken, StoreUnavailable."""
        try:
            signed = self._reaching(name.end)
        except CheckpointNotFound:
            raise TileNotFound from None
        return TileReader(self._documents, signed.head).tile(name.level, name.number, name.width)

    def consistency(self, old: int, new: int | None) -> Consistency:
        """Return the proof between two signed or smaller sizes. `new` is None for the newest checkpoint.

        Raises InvalidValue for sizes that the log does not have, CheckpointNotFound, LogBroken, StoreUnavailable.
        """
        head = self._reaching(max(old, new or 0)).head
        size = head.size if new is None else new
        if size > head.size:
            raise InvalidValue("to", f"must be at most the size of the checkpoint, {head.size}")
        if not 1 <= old <= size:
            raise InvalidValue("from", f"must be from 1 to {size}")
        old_root, new_root, hashes = prove_consistency(old, size, head, TileReader(self._documents, head))
        return Consistency(old=old, new=size, old_root=old_root, new_root=new_root, hashes=tuple(hashes))

    def _reaching(self, size: int) -> SignedHead:
        """Return the checkpoint. One that is smaller than `size` is read again, but not more than once a second."""
        now = self._clock.monotonic()
        if self._known is None or now - self._known[0] >= _patience(self._known[1], size):
            self._known = (now, read_signed_head(self._documents))
        signed = self._known[1]
        if signed is None:
            raise CheckpointNotFound
        return signed


def _patience(signed: SignedHead | None, size: int) -> int:
    """Return the seconds for which the checkpoint may be shown to a caller who asks for a tree of `size`."""
    return AGAIN_SECONDS if signed is None or signed.head.size < size else CHECKPOINT_SECONDS
