"""Ledgers whose journals move to a bucket: an account with entries of every kind, in a signed log."""

from dataclasses import dataclass
from typing import Any

from shared.kernel.deadline import NEVER
from shared.kernel.documents import Documents
from shared.kernel.ids import Uid
from shared.ledger.archiving import ArchiveStep, JournalArchiver
from shared.ledger.document_paths import entry_path
from shared.ledger.redacting import EntryRedactor
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.objects import MemoryObjects
from tests.support.redactions import EVE, RedactingLedger
from tests.support.rotations import NEW, OLD, Fleet

ALL_KINDS = frozenset({"grant", "refund", "charge", "expiry", "reversal", "adjustment", "hold", "extension"})


@dataclass
class ArchivingLedger(RedactingLedger):
    """Logged ledger whose journals may move to the bucket."""

    @property
    def bucket(self) -> MemoryObjects:
        return self.fleet.objects

    @property
    def archiver(self) -> JournalArchiver:
        """Archiver of an instance that has read nothing yet."""
        return self.archiver_on(self.documents)

    def archiver_on(self, documents: Documents) -> JournalArchiver:
        return self.fleet.deploy(NEW, OLD, documents=documents).credits.archiver

    @property
    def redactor(self) -> EntryRedactor:
        redactor: EntryRedactor = self.ledger.redactor
        return redactor

    def move(self, uid: Uid = EVE) -> ArchiveStep:
        """Do the next step of archiving."""
        return self.archiver.archive(uid, NEVER)

    def archive(self, uid: Uid = EVE) -> int:
        """Archive the whole journal but the newest entry, and return the last archived entry."""
        assert self.move(uid).progress == "waiting"
        self.sign()
        step = self.move(uid)
        assert step.progress == "archived"
        return step.last

    def seqs(self, uid: Uid = EVE) -> list[int]:
        """Numbers of the entries that the database has."""
        last = self.stored_seq if uid == EVE else self.seq(uid)
        paths = [entry_path(uid, seq) for seq in range(1, last + 1)]
        return [seq for seq, found in enumerate(self.documents.get_all(paths), 1) if found is not None]

    def copy(self) -> "ArchivingLedger":
        """Return the same ledger on a store and a bucket of its own."""
        assert isinstance(self.documents, MemoryDocuments)
        documents, objects = MemoryDocuments(), MemoryObjects()
        documents._documents = dict(self.documents._documents)
        documents._ids = {name: list(ids) for name, ids in self.documents._ids.items()}
        documents._ticks = self.documents._ticks
        objects._objects = dict(self.bucket._objects)
        other = object.__new__(ArchivingLedger)
        clock = ManualClock(self.fleet.clock.now())
        other.fleet = Fleet(documents=documents, clock=clock, objects=objects)
        other.services = other.fleet.deploy(NEW, OLD)
        return other

    def shown(self, uid: Uid = EVE) -> dict[str, Any]:
        """Everything that readers of the journal see. Each time by an instance that has read nothing yet."""
        credits_ = self.fleet.deploy(NEW, OLD).credits
        ledger = credits_.ledger
        return {
            "export": list(ledger.export(uid))[1:],
            "history": ledger.history(uid, kinds=ALL_KINDS, before=None, limit=100),
            "first": ledger.entry(uid, 1),
            "usage": credits_.analytics.report(uid, "2000-01-01", "2100-01-01"),
            "bodies": ledger.bodies(uid, 1, self.stored_seq),
            "receipt": ledger.receipt(uid, 2).body,
        }
