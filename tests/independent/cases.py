"""Statements of a log for others to judge: each as published, and each with one bit changed.

Every statement is one JSON object with a name and a kind: `note`, `record`, `tree` or `tiles`. Bytes are base64.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.ledger.keys import to_base64
from shared.ledger.log.checkpoints import Checkpoint
from shared.ledger.log.head import TreeHead
from shared.ledger.log.merkle import leaf_hash
from shared.ledger.log.notes import NoteSignature, SignedNote, parse_note
from shared.ledger.log.proofs import prove_consistency, prove_inclusion
from tests.support.log_trees import SIGNER, MemoryLog, changed_bits, log_folder_files

SIZE, OLD = 70_000 // 64, 777
"""1,093 leaves: five tiles of leaves, of which one is partial, and a partial one above."""
LEAVES = [b"ics-leaf-v1\n" + f"{number:096d}".encode() for number in range(SIZE)]
RECORDS = (0, 255, 256, 777, SIZE - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Statement for a judge, and the right verdict."""

    name: str
    kind: str
    is_true: bool
    said: Mapping[str, Any]

    def to_json(self) -> Mapping[str, Any]:
        return {"name": self.name, "kind": self.kind, **self.said}


def statements() -> list[Statement]:
    log = MemoryLog(LEAVES)
    return [*_notes(log), *_records(log), *_trees(log), *_tiles(log)]


def _notes(log: MemoryLog) -> Iterator[Statement]:
    note = parse_note(log.checkpoint())
    key = str(SIGNER.vkey)
    yield Statement(name="note", kind="note", is_true=True, said={"vkey": key, "note": _encoded(str(note))})
    for number, changed in enumerate(_changed_notes(note, log.head)):
        said = {"vkey": key, "note": _encoded(changed)}
        yield Statement(name=f"note {number}", kind="note", is_true=False, said=said)


def _changed_notes(note: SignedNote, head: TreeHead) -> Iterator[str]:
    """Origin, size, root and signature with a bit changed. Only bits that count: no padding of base64."""
    (signature,) = note.signatures
    for root in changed_bits(head.root, 11):
        yield str(SignedNote(_text(head.size, root), note.signatures))
    for bit in range(7):
        yield str(SignedNote(_text(head.size ^ 1 << bit, head.root), note.signatures))
    yield str(SignedNote(note.text.replace("ledger", "medger", 1), note.signatures))
    for raw in changed_bits(signature.key_id + signature.signature, 17):
        yield str(SignedNote(note.text, (NoteSignature(signature.name, raw[:4], raw[4:]),)))


def _text(size: int, root: bytes) -> str:
    return str(Checkpoint(origin=SIGNER.vkey.name, size=size, root=root))


def _records(log: MemoryLog) -> Iterator[Statement]:
    for index in RECORDS:
        leaf, root = LEAVES[index], log.head.root
        proof = prove_inclusion(leaf_hash(leaf), index, log.head, log.subtrees())
        yield _record("record", index, leaf, root, proof, is_true=True)
        for changed in changed_bits(leaf, 101):
            yield _record("record, leaf", index, changed, root, proof, is_true=False)
        for changed in changed_bits(root, 67):
            yield _record("record, root", index, leaf, changed, proof, is_true=False)
        for place in range(len(proof)):
            for changed in changed_bits(proof[place], 113):
                yield _record("record, hash", index, leaf, root, _put(proof, place, changed), is_true=False)
        yield _record("record, index", index ^ 1, leaf, root, proof, is_true=False)


def _record(name: str, index: int, leaf: bytes, root: bytes, proof: list[bytes], *, is_true: bool) -> Statement:
    said = {"index": index, "size": SIZE, "leaf": to_base64(leaf), "root": to_base64(root), "proof": _all(proof)}
    return Statement(name=f"{name} {index}", kind="record", is_true=is_true, said=said)


def _trees(log: MemoryLog) -> Iterator[Statement]:
    for old in (1, 256, OLD, SIZE - 1):
        old_root, root, proof = prove_consistency(old, SIZE, log.head, log.subtrees())
        yield _tree("tree", old, old_root, root, proof, is_true=True)
        for changed in changed_bits(old_root, 67):
            yield _tree("tree, old root", old, changed, root, proof, is_true=False)
        for changed in changed_bits(root, 67):
            yield _tree("tree, root", old, old_root, changed, proof, is_true=False)
        for place in range(len(proof)):
            for changed in changed_bits(proof[place], 113):
                yield _tree("tree, hash", old, old_root, root, _put(proof, place, changed), is_true=False)


def _tree(name: str, old: int, old_root: bytes, root: bytes, proof: list[bytes], *, is_true: bool) -> Statement:
    roots = {"old_root": to_base64(old_root), "root": to_base64(root)}
    said = {"old": old, "size": SIZE, **roots, "proof": _all(proof)}
    return Statement(name=f"{name} {old}", kind="tree", is_true=is_true, said=said)


def _tiles(log: MemoryLog) -> Iterator[Statement]:
    """All tiles in their C2SP paths, and each with one bit changed of a hash that leaf OLD's proof needs."""
    files = {path: data for path, data in log_folder_files(log).items() if path.startswith("tile/")}
    yield _folder("tiles", files, log.head.root, is_true=True)
    for path, place in (
        (f"tile/0/{OLD // 256:03d}", (OLD ^ 1) % 256),
        ("tile/1/000.p/4", OLD // 256),
        ("tile/0/004.p/69", 68),
    ):
        start = place * 32
        for changed in changed_bits(files[path][start : start + 32], 61):
            data = files[path][:start] + changed + files[path][start + 32 :]
            yield _folder(f"tiles, {path}", {**files, path: data}, log.head.root, is_true=False)


def _folder(name: str, files: Mapping[str, bytes], root: bytes, *, is_true: bool) -> Statement:
    said = {"index": OLD, "size": SIZE, "root": to_base64(root), "leaf": to_base64(LEAVES[OLD])}
    told = {path: to_base64(data) for path, data in files.items()}
    return Statement(name=name, kind="tiles", is_true=is_true, said={**said, "files": told})


def _put(proof: list[bytes], place: int, changed: bytes) -> list[bytes]:
    return [*proof[:place], changed, *proof[place + 1 :]]


def _all(proof: list[bytes]) -> list[str]:
    return [to_base64(each) for each in proof]


def _encoded(text: str) -> str:
    return to_base64(text.encode())
