"""Merkle trees over leaves (RFC 6962, RFC 9162 §2.1): roots, inclusion proofs, consistency proofs.

A subtree is named by level and index: level L, index I has the leaves from I·2^L to (I+1)·2^L - 1. Functions that make
proofs ask for the hashes of complete subtrees only, by `hash_at(level, index)`, and make the others from them.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256().digest()
"""Root of the tree without leaves."""

HashAt = Callable[[int, int], bytes]


class InvalidProof(ValueError):
    """Refusal of a proof that fits no tree of the stated size. The message is a sentence."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf with this data."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root of the tree with these leaf hashes. Reads every leaf: for tests and small trees."""
    return root_at(len(hashes), lambda level, index: _complete(hashes, level, index))


def root_at(size: int, hash_at: HashAt) -> bytes:
    """Return the root of the first `size` leaves. Asks for one hash per 1-bit of `size`."""
    return _range_hash(0, size, hash_at) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, hash_at: HashAt) -> list[bytes]:
    """Return the audit path of leaf `index` in the first `size` leaves, from the leaf upwards (RFC 9162 §2.1.3.1)."""
    if not 0 <= index < size:
        raise InvalidProof(f"A tree of {size} leaves has no leaf {index}.")
    return [_range_hash(first, last, hash_at) for first, last in reversed(list(_siblings(index, size)))]


def consistency_proof(old: int, new: int, hash_at: HashAt) -> list[bytes]:
    """Return the proof that the tree of `new` leaves begins with that of `old` leaves (RFC 9162 §2.1.4.1)."""
    if not 0 < old <= new:
        raise InvalidProof(f"No proof leads from a tree of {old} leaves to one of {new}: 1 ≤ old ≤ new.")
    return [_range_hash(first, last, hash_at) for first, last in reversed(list(_steps_between(old, new)))]


def root_of_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that the proof gives for leaf hash `leaf` (RFC 9162 §2.1.3.2).

    The leaf is in the tree if the result equals a root that is trusted. Raises InvalidProof if the proof has a wrong
    length.
    """
    if not 0 <= index < size:
        raise InvalidProof(f"A tree of {size} leaves has no leaf {index}.")
    _require_hashes([leaf, *proof])
    node, last, root = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise InvalidProof(f"The proof has more hashes than leaf {index} of {size} needs.")
        if node & 1 or node == last:
            root = node_hash(sibling, root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise InvalidProof(f"The proof has fewer hashes than leaf {index} of {size} needs.")
    return root


def is_consistent(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Return True if the proof shows that the new tree begins with the old one (RFC 9162 §2.1.4.2).

    Trees of equal size need the same root and an empty proof. Nothing is shown about an empty old tree: False.
    """
    if not 0 < old_size <= new_size:
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    is_complete = old_size & (old_size - 1) == 0
    path = [old_root, *proof] if is_complete else list(proof)
    if not proof or any(len(each) != HASH_BYTES for each in path):
        return False
    return _roots_between(old_size, new_size, path) == (old_root, new_root)


def _roots_between(old_size: int, new_size: int, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """Return the old and new root that the path gives, None if it has a wrong length."""
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return (old, new) if last == 0 else None


def _siblings(index: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield first leaf and end of each subtree beside the path from the root down to leaf `index`."""
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            yield middle, end
            end = middle
        else:
            yield first, middle
            first = middle


def _steps_between(old: int, new: int) -> Iterator[tuple[int, int]]:
    """Yield first leaf and end of each subtree of a consistency proof, from the root down."""
    first, end = 0, new
    while end != old:
        middle = first + _split(end - first)
        if old <= middle:
            yield middle, end
            end = middle
        else:
            yield first, middle
            first = middle
    if first:
        yield first, end


def _range_hash(first: int, end: int, hash_at: HashAt) -> bytes:
    """Return the root over the leaves from `first` to before `end`: a subtree, complete or at the tree's right edge."""
    count = end - first
    below = _split(count) if count > 1 else 1
    if below * 2 == count or count == 1:
        level = count.bit_length() - 1
        return hash_at(level, first >> level)
    middle = first + below
    return node_hash(_range_hash(first, middle, hash_at), _range_hash(middle, end, hash_at))


def _split(count: int) -> int:
    """Return the largest power of two below `count`, for at least 2 leaves."""
    return 1 << ((count - 1).bit_length() - 1)


def _complete(hashes: Sequence[bytes], level: int, index: int) -> bytes:
    if level == 0:
        return hashes[index]
    left, right = (_complete(hashes, level - 1, index * 2 + side) for side in (0, 1))
    return node_hash(left, right)


def _require_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(each) != HASH_BYTES for each in hashes):
        raise InvalidProof(f"A hash of the proof is not {HASH_BYTES} bytes long.")
