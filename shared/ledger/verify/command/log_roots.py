"""Root of the leaves in an export of the log, which come in the order of accounts, and not of the log.

The hashes are kept in a temporary file, so that memory grows by the runs of leaves alone.
"""

from array import array
from collections.abc import Iterable, Iterator

from shared.ledger.keys import from_base64
from shared.ledger.log.checkpoints import Checkpoint
from shared.ledger.log.merkle import EMPTY_ROOT, HASH_BYTES, node_hash

MEMORY_BYTES = 1 << 26
"""Number of bytes of hashes from which they are kept on the disk."""


class LogLeaves:
    """Leaves of a file. `add` takes them in any order."""

    def __init__(self) -> None:
        import tempfile

        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115  as long as the object
        self._indexes, self._counts = array("Q"), array("Q")
        self._offsets = array("Q")
        self._size = 0

    def add_all(self, leaves: Iterable[tuple[int, str]]) -> None:
        """Take leaves as answers have them; see `add`. The hashes are in base64."""
        for index, hashes in leaves:
            self.add(index, from_base64(hashes))

    def add(self, index: int, hashes: bytes) -> None:
        """Take the hashes of leaves that follow one another, from leaf `index` on."""
        self._file.write(hashes)
        self._indexes.append(index)
        self._counts.append(len(hashes) // HASH_BYTES)
        self._offsets.append(self._size)
        self._size += len(hashes)

    def close(self) -> None:
        """Delete the temporary file."""
        self._file.close()

    def problem(self, checkpoint: Checkpoint) -> str | None:
        """Return a sentence if the leaves are not all leaves of the checkpoint's tree, each once; None if they are."""
        order = sorted(range(len(self._indexes)), key=self._indexes.__getitem__)
        end = 0
        for run in order:
            index = self._indexes[run]
            if index != end:
                return f"leaf {end} of the log is missing" if index > end else f"leaf {index} of the log stands twice"
            end += self._counts[run]
        if end != checkpoint.size:
            return f"the file has {end} leaves, the checkpoint {checkpoint.size}"
        if _root(self._in_order(order)) != checkpoint.root:
            return f"the {end} leaves of the file have another root than the checkpoint"
        return None

    def _in_order(self, order: list[int]) -> Iterator[bytes]:
        for run in order:
            self._file.seek(self._offsets[run])
            hashes = self._file.read(self._counts[run] * HASH_BYTES)
            yield from (hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES))


def _root(leaves: Iterator[bytes]) -> bytes:
    """Return the root (RFC 6962) of leaf hashes in order. Holds one hash for each level."""
    peaks: list[bytes] = []
    for count, leaf in enumerate(leaves):
        node = leaf
        while count & 1:
            node, count = node_hash(peaks.pop(), node), count >> 1  # noqa: PLW2901  the levels above the leaf
        peaks.append(node)
    root = peaks.pop() if peaks else EMPTY_ROOT
    while peaks:
        root = node_hash(peaks.pop(), root)
    return root
