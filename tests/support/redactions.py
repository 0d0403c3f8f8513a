"""Ledgers in which bodies are deleted: an account with entries of every kind, in a signed log."""

from dataclasses import dataclass
from typing import Any

from shared.bootstrap import Services
from shared.kernel.clock import DAY
from shared.kernel.deadline import NEVER
from shared.kernel.documents import Document, Documents
from shared.kernel.ids import Uid
from shared.ledger.document_paths import entry_path
from shared.ledger.redacting import EntryRedactor
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support import books as ask
from tests.support.logged_exports import ANN, BOB, LoggedLedger

EVE = Uid("eve")


@dataclass
class RedactingLedger(LoggedLedger):
    """Logged ledger whose bodies may be deleted. `eve` has entries of every kind, some of them on the next day."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.run(self.services, EVE, *_first_day())
        self.fleet.clock.advance(DAY)
        self.run(self.services, EVE, *_next_day())
        self.relay()
        self.sign()

    @property
    def ledger(self) -> Any:
        return self.services.credits.ledger

    @property
    def redactor(self) -> EntryRedactor:
        return self.redactor_on(self.documents)

    def redactor_on(self, documents: Documents, page: int = 500) -> EntryRedactor:
        return EntryRedactor(documents, self.services.credits.keys, "demo-test", self.fleet.clock, page)

    def relay(self) -> None:
        for uid in (ANN, BOB, EVE):
            self.services.credits.relay.relay(uid)

    def step(self, uid: Uid, seq: int) -> str:
        return self.redactor.redact(uid, seq, NEVER)

    def redact(self, uid: Uid, seq: int) -> None:
        """Delete the body of an entry."""
        assert self.step(uid, seq) == "waiting"
        self.sign()
        assert self.step(uid, seq) == "redacted"

    def seq(self, uid: Uid = EVE) -> int:
        return int(self.ledger.balance(uid).seq)

    @property
    def stored_seq(self) -> int:
        """Number of eve's last stored entry. An expiry that is due is not stored yet."""
        found = self.documents.get(f"accounts/{EVE}")
        assert found is not None
        return int(str(found.data["seq"]))

    def entry(self, uid: Uid, seq: int) -> Document:
        found = self.documents.get(entry_path(uid, seq))
        assert found is not None
        return found

    def faults(self, uid: Uid = EVE) -> list[tuple[int, str]]:
        """Return each finding of the verifier and of a new audit."""
        found = [*self.ledger.verify(uid), *self.ledger.audit(uid, NEVER).findings]
        return [(each.seq, each.rule) for each in found]

    def copy(self) -> "RedactingLedger":
        """Return the same ledger on a store of its own."""
        assert isinstance(self.documents, MemoryDocuments)
        documents = MemoryDocuments()
        documents._documents = dict(self.documents._documents)
        documents._ids = {name: list(ids) for name, ids in self.documents._ids.items()}
        documents._ticks = self.documents._ticks
        other = object.__new__(RedactingLedger)
        other.fleet = type(self.fleet)(documents=documents, clock=ManualClock(self.fleet.clock.now()))
        other.services = other.deploy()
        return other

    def deploy(self) -> Services:
        from tests.support.rotations import NEW, OLD

        return self.fleet.deploy(NEW, OLD)


def _first_day() -> list[Any]:
    return [
        ask.grant("gift", 100),
        ask.grant("paid", 5_000, priority=20, is_paid=True),
        ask.hold("h1", 60),
        ask.charge(40),
        ask.capture("h1", 60),
        ask.adjust(7),
        ask.hold("h2", 40),
        ask.extend("h2", 20),
        ask.release("h2"),
    ]


def _next_day() -> list[Any]:
    return [
        ask.reverse("paid", 1_000),
        ask.restore("paid", 0),
        ask.suspend("d1", "paid"),
        ask.reinstate("d1"),
        ask.freeze(),
        ask.unfreeze(),
        ask.charge(30),
        ask.hold("h3", 25),
    ]
