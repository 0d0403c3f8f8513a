"""Appending to the head: the root of the naive tree, full tiles once, and no head that differs from its tiles."""

import hashlib
import random
from collections.abc import Sequence
from typing import Any

import pytest

from shared.kernel.documents import Create, Document
from shared.ledger.log.head import (
    EMPTY_HEAD,
    HEAD_PATH,
    SIZE_MAX,
    LogBroken,
    TreeHead,
    appended,
    head_data,
    stored_head,
    tile_path,
)
from shared.ledger.log.merkle import consistency_proof, inclusion_proof, is_consistent, root_of, root_of_inclusion
from shared.ledger.log.tile_reader import TileNotFound, TileReader, read_head
from shared.platform.memory.documents import MemoryDocuments
from tests.support.faults import FaultyDocuments


def leaves(count: int, first: int = 0) -> list[bytes]:
    return [hashlib.sha256(str(number).encode()).digest() for number in range(first, first + count)]


def grown(counts: Sequence[int]) -> tuple[TreeHead, MemoryDocuments]:
    """Return the head after appending so many leaves in turn, and the store with the full tiles."""
    head, documents = EMPTY_HEAD, MemoryDocuments()
    for count in counts:
        after = appended(head, leaves(count, head.size))
        documents.commit([Create(tile_path(*place), {"hashes": tile}) for place, tile in after.tiles.items()])
        head = after.head
    return head, documents


class ReadNoting(FaultyDocuments):
    """Documents that note the paths read together."""

    def __init__(self, documents: MemoryDocuments) -> None:
        super().__init__(documents)
        self.paths: list[str] = []

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        self.paths += paths
        return super().get_all(paths)


SIZES = (1, 2, 3, 255, 256, 257, 511, 512, 700, 65_535, 65_536, 65_537, 66_000)


@pytest.mark.parametrize("size", SIZES)
def test_root_equals_the_naive_root_at_every_size(size):
    head, _ = grown([size])

    assert head.root == root_of(leaves(size))


def test_root_and_tiles_are_equal_however_leaves_are_split():
    chosen = random.Random(5)
    counts = [chosen.choice([1, 2, 7, 255, 256, 300]) for _ in range(60)]
    whole, split = grown([sum(counts)]), grown(counts)

    assert whole[0] == split[0]
    assert whole[1]._documents.keys() == split[1]._documents.keys()


def test_stored_head_is_read_as_written():
    for size in (0, 1, 256, 700, 66_000):
        head, documents = grown([size])
        documents.commit([Create(HEAD_PATH, head_data(head))])
        assert read_head(documents) == head


def test_missing_head_is_none():
    assert read_head(MemoryDocuments()) is None


WRONG: list[Any] = [None, 1.5, "1", b"", True, -1, SIZE_MAX + 1, [], {}]


def edits(tree):
    yield from ({**tree, name: value} for name in tree for value in WRONG)
    yield from ({each: tree[each] for each in tree if each != name} for name in tree)
    yield {**tree, "size": tree["size"] + 1}
    yield {**tree, "size": tree["size"] - 1}
    for name in ("root", "edge"):
        for at in range(len(tree[name])):
            yield {**tree, name: tree[name][:at] + bytes([tree[name][at] ^ 1]) + tree[name][at + 1 :]}


def test_head_with_any_edited_byte_is_refused():
    tree = head_data(grown([700])[0])["tree"]
    assert isinstance(tree, dict)

    for edited in edits(tree):
        with pytest.raises(LogBroken, match="The head of the log"):
            stored_head({"tree": edited})


def test_every_leaf_is_proven_from_tiles():
    head, documents = grown([66_000])
    for index in (0, 255, 256, 40_000, 65_535, 65_536, 65_999):
        proof = inclusion_proof(index, head.size, TileReader(documents, head).hash_at)
        assert root_of_inclusion(leaves(1, index)[0], index, head.size, proof) == head.root


def test_consistency_of_every_older_size_is_proven_from_tiles():
    head, documents = grown([66_000])
    for size in SIZES:
        proof = consistency_proof(size, head.size, TileReader(documents, head).hash_at)
        assert is_consistent(size, root_of(leaves(size)), head.size, head.root, proof)


def test_proof_reads_a_tile_for_each_full_level_and_no_partial_tile():
    head, documents = grown([66_000])
    watched = ReadNoting(documents)

    inclusion_proof(1_000, head.size, TileReader(watched, head).hash_at)

    assert watched.paths == [tile_path(0, 3), tile_path(1, 0)]


def test_tile_is_served_up_to_its_committed_width():
    head, documents = grown([700])
    reader = TileReader(documents, head)

    assert reader.tile(0, 0, 256) == b"".join(leaves(256))
    assert reader.tile(0, 2, 188) == b"".join(leaves(188, 512))
    assert reader.tile(0, 2, 1) == b"".join(leaves(1, 512))
    assert reader.tile(1, 0, 2) == root_of(leaves(256)) + root_of(leaves(256, 256))


@pytest.mark.parametrize("place", [(0, 2, 189), (0, 3, 1), (1, 0, 3), (1, 1, 1), (2, 0, 1), (0, 0, 0), (0, 0, 257)])
def test_tile_beyond_the_committed_size_is_not_found(place):
    head, documents = grown([700])

    with pytest.raises(TileNotFound):
        TileReader(documents, head).tile(*place)


def test_missing_or_short_tile_is_a_broken_log():
    _, documents = grown([700])
    documents.commit([Create(tile_path(0, 9), {"hashes": b"short"})])
    for number in (7, 9):
        large = TreeHead(size=70_000, root=b"", edge=(b"", b"", b""))
        with pytest.raises(LogBroken, match=f"Tile {number} of level 0"):
            TileReader(documents, large).tile(0, number, 256)
