"""Reader of the log: hashes of subtrees, and tiles of a committed size, from stored tiles and the edge of a head."""

from collections.abc import Sequence

from shared.kernel.documents import Document, Documents
from shared.kernel.errors import NotFound
from shared.ledger.log.head import HEAD_PATH, LogBroken, TreeHead, stored_head, tile_path
from shared.ledger.log.merkle import HASH_BYTES
from shared.ledger.log.tiles import TILE_BYTES, hash_in_tile, tile_place, tile_width


class TileNotFound(NotFound):
    """No tile of this level, number and width in the committed log."""

    code = "tile_not_found"

    def __init__(self) -> None:
        super().__init__("The log has no such tile yet.")


class TileReader:
    """Hashes of the first `head.size` leaves. Reads each full tile once, and no partial tile. Not for threads.

    A proof in a log of up to 2^32 leaves reads at most three tiles for each leaf.
    """

    def __init__(self, documents: Documents, head: TreeHead) -> None:
        self._documents = documents
        self._head = head
        self._tiles: dict[tuple[int, int], bytes] = {}

    def hash_at(self, level: int, index: int) -> bytes:
        """Return the hash of the complete subtree `index` of 2^level leaves.

        Raises LogBroken if its tile is missing or too short, StoreUnavailable.
        """
        return hash_in_tile(self._tile(*tile_place(level, index)), level, index)

    def tile(self, level: int, number: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile, 1 to 256, as served by C2SP tlog-tiles.

        Raises TileNotFound if the committed log has fewer hashes there, LogBroken, StoreUnavailable.
        """
        if not 0 < width <= tile_width(self._head.size, level, number):
            raise TileNotFound
        return self._tile(level, number)[: width * HASH_BYTES]

    def load(self, tiles: Sequence[tuple[int, int]]) -> None:
        """Read the full ones of these tiles, by level and number, in one round trip. Raises LogBroken."""
        wanted = [each for each in dict.fromkeys(tiles) if each not in self._tiles and not self._partial(*each)]
        found = self._documents.get_all([tile_path(*each) for each in wanted]) if wanted else []
        self._tiles.update({each: _hashes(document, *each) for each, document in zip(wanted, found, strict=True)})

    def _tile(self, level: int, number: int) -> bytes:
        partial = self._partial(level, number)
        if partial:
            return partial
        self.load([(level, number)])
        return self._tiles[level, number]

    def _partial(self, level: int, number: int) -> bytes | None:
        return self._head.partial_tile(level, number)


def read_head(documents: Documents) -> TreeHead | None:
    """Return the committed head of the log, None before the first leaf. Raises LogBroken, StoreUnavailable."""
    document = documents.get(HEAD_PATH)
    return None if document is None else stored_head(document.data)


def _hashes(document: Document | None, level: int, number: int) -> bytes:
    hashes = None if document is None else document.data.get("hashes")
    if not isinstance(hashes, bytes) or len(hashes) != TILE_BYTES:
        raise LogBroken("tile", f"Tile {number} of level {level} is missing from the log or has a wrong size.")
    return hashes
