"""Logs for tests: leaves appended as the sequencer does, and a signer with its bucket and witnesses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import Put
from shared.ledger.log.anchors import AnchoredTree, Anchors
from shared.ledger.log.head import EMPTY_HEAD, HEAD_PATH, TreeHead, appended, head_data, tile_path
from shared.ledger.log.merkle import leaf_hash
from shared.ledger.log.notes import NoteSigner, SeedSigner, VerifierKey
from shared.ledger.log.signed_heads import read_signed_head
from shared.ledger.log.signer import CheckpointSigner, SigningParts
from shared.ledger.log.tile_reader import read_head
from shared.ledger.log.witnesses import LogWitness, WitnessCalls, Witnesses
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.objects import MemoryAnchors

ORIGIN = "ledger.example/log"
SEED = bytes(range(32))


def leaves(first: int, end: int, text: str = "leaf") -> list[bytes]:
    """Hashes of leaves by number."""
    return [leaf_hash(f"{text} {number}".encode()) for number in range(first, end)]


@dataclass(slots=True)
class CountingSigner:
    """Signer that counts its signatures."""

    inner: NoteSigner = field(default_factory=lambda: SeedSigner(ORIGIN, SEED))
    count: int = 0

    @property
    def vkey(self) -> VerifierKey:
        return self.inner.vkey

    def sign(self, message: bytes) -> bytes:
        self.count += 1
        return self.inner.sign(message)


@dataclass(slots=True, kw_only=True)
class SignedLog:
    """Log over the memory adapters, with one signer."""

    documents: Any = field(default_factory=MemoryDocuments)
    objects: Any = field(default_factory=MemoryAnchors)
    alerts: MemoryAlerts = field(default_factory=MemoryAlerts)
    key: CountingSigner = field(default_factory=CountingSigner)
    former_keys: Sequence[VerifierKey] = ()
    calls: WitnessCalls | None = None
    witnesses: Sequence[LogWitness] = ()
    cursor: str = ""

    @property
    def anchors(self) -> Any:
        assert self.objects is not None
        return Anchors(self.objects, ORIGIN, (self.key.vkey, *self.former_keys))

    def signer(self) -> CheckpointSigner:
        """A signer as a new instance makes it."""
        return CheckpointSigner(
            SigningParts(
                documents=self.documents,
                origin=ORIGIN,
                signer=self.key,
                former_keys=self.former_keys,
                anchors=None if self.objects is None else self.anchors,
                witnesses=Witnesses(self.calls or _Nobody(), self.witnesses, self.alerts),
                alerts=self.alerts,
            )
        )

    def sign(self, deadline: Deadline = NEVER) -> Any:
        """Run the job once, and return the served checkpoint."""
        self.cursor = self.signer().sign(self.cursor, deadline)
        return self.served()

    def served(self) -> Any:
        return read_signed_head(self.documents)

    def append(self, hashes: Iterable[bytes]) -> TreeHead:
        """Append leaves, in one commit."""
        return append(self.documents, list(hashes))

    def rules(self) -> list[object]:
        """Rules of all alerts, oldest first."""
        return [each.fields.get("rule", each.event) for each in self.alerts.raised]


class _Nobody:
    def add_checkpoint(self, url: str, body: bytes):
        raise AssertionError("no witness is set")


def append(documents: MemoryDocuments, hashes: Sequence[bytes], head: TreeHead | None = None) -> TreeHead:
    """Append leaves behind the stored head, or behind `head`."""
    made = appended(head or read_head(documents) or EMPTY_HEAD, hashes)
    tiles = [Put(tile_path(level, number), {"hashes": row}) for (level, number), row in made.tiles.items()]
    documents.commit([Put(HEAD_PATH, head_data(made.head)), *tiles])
    return made.head


def tree_in(anchors: Anchors) -> AnchoredTree:
    """Tree of the newest anchored checkpoint."""
    newest = anchors.newest()
    assert newest is not None
    return AnchoredTree(anchors, newest.checkpoint.size)
