"""A ledger in memory, and the commands that tests ask of it."""

from dataclasses import dataclass, field

from shared.kernel.documents import Documents
from shared.kernel.ids import LotId, Uid, operation_id
from shared.kernel.money import Micro
from shared.kernel.settings import SigningKey
from shared.ledger.commands import Charge, Grant
from shared.ledger.key_ring import KeyRing
from shared.ledger.ledger import Ledger
from shared.ledger.losses import Losses
from shared.ledger.relay import Relay
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.publisher import MemoryPublisher

KEYS = KeyRing((SigningKey(kid="test-1", seed=bytes(range(32))),))
UID = Uid("ada")


def ledger_on(documents: Documents, clock: ManualClock, alerts: MemoryAlerts | None = None) -> Ledger:
    """One instance of the ledger, without a rate limit."""
    return Ledger(documents, clock, KEYS, ledger_id="demo-test", hold_lifetime_seconds=900, alerts=alerts)


def grant(
    key: str, amount: int, *, expires_at: int | None = None, source: str = "promo:welcome", is_paid: bool = False
) -> Grant:
    return Grant(
        operation=operation_id("grant", key),
        fingerprint=str(amount),
        amount=Micro(amount),
        lot=LotId(f"lot_{key}"),
        source=source,
        expires_at=expires_at,
        is_paid=is_paid,
    )


def charge(key: str, amount: int) -> Charge:
    return Charge(operation=operation_id("charge", key), fingerprint=str(amount), amount=Micro(amount), purpose="chat")


@dataclass(frozen=True)
class World:
    """Everything a test of the ledger's surroundings needs."""

    documents: MemoryDocuments = field(default_factory=MemoryDocuments)
    clock: ManualClock = field(default_factory=ManualClock)
    alerts: MemoryAlerts = field(default_factory=MemoryAlerts)
    publisher: MemoryPublisher = field(default_factory=MemoryPublisher)

    @property
    def ledger(self) -> Ledger:
        """A fresh instance: cold, as after a restart."""
        return ledger_on(self.documents, self.clock, self.alerts)

    @property
    def relay(self) -> Relay:
        return Relay(self.documents, self.ledger, self.publisher, self.clock, witnesses=[self.losses])

    @property
    def losses(self) -> Losses:
        return Losses(self.documents, self.alerts, self.clock)
