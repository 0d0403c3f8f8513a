"""Parts of the ledger, with the parts that follow the journal."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.bootstrap.parts import part
from shared.bootstrap.ports import Ports
from shared.kernel.clock import Clock
from shared.kernel.settings import Settings

if TYPE_CHECKING:
    from shared.kernel.ids import Uid
    from shared.ledger.analytics import UsageAnalytics
    from shared.ledger.archiving import JournalArchiver
    from shared.ledger.key_acts import KeyActs
    from shared.ledger.key_ring import KeyRing
    from shared.ledger.key_store import KeyStore, KnownRegistry
    from shared.ledger.ledger import Ledger
    from shared.ledger.log.day_store import DayStore
    from shared.ledger.log.figure_count import FigureCount
    from shared.ledger.log.figure_reader import FigureReader
    from shared.ledger.log.public_log import PublicLog
    from shared.ledger.log.sequencer import Sequencer
    from shared.ledger.log.typed_leaves import TypedLeaf
    from shared.ledger.losses import Losses
    from shared.ledger.marks import MarkRing
    from shared.ledger.relay import Relay
    from shared.ledger.resealing import Resealing
    from shared.sagas.accounts.key_rotation import KeyRotation
    from shared.sagas.accounts.ledger_watch import LedgerWatch
    from shared.users.sign_ups import SignUpBook


@dataclass(eq=False)
class CreditServices:
    """Parts of the ledger, with the parts that follow the journal."""

    settings: Settings
    clock: Clock
    ports: Ports

    @part
    def days(self) -> "DayStore":
        """Build the store of closed days."""
        from shared.ledger.log.day_store import DayStore

        return DayStore(self.ports.documents(), self.keys, self.settings.ledger_id)

    @part
    def figures(self) -> "FigureReader":
        """Build the reader of the figures of the platform."""
        from shared.ledger.log.figure_reader import FigureReader

        return FigureReader(self.ports.documents())

    @part
    def figure_count(self) -> "FigureCount":
        """Build the count of entries that the figures lack."""
        from shared.ledger.log.figure_count import FigureCount

        return FigureCount(self.ports.documents(), self.sign_ups)

    @part
    def sign_ups(self) -> "SignUpBook":
        """Build the store of sign-ups."""
        from shared.users.sign_ups import SignUpBook

        return SignUpBook(self.ports.documents())

    @part
    def ledger(self) -> "Ledger":
        """Build the ledger of credits."""
        from shared.ledger.commands import RateLimit
        from shared.ledger.ledger import Ledger

        settings = self.settings
        return Ledger(
            self.ports.documents(),
            self.clock,
            self.keys,
            ledger_id=settings.ledger_id,
            hold_lifetime_seconds=settings.hold_lifetime_seconds,
            rate=RateLimit(per_minute=settings.rate_limit_per_minute, burst=settings.rate_limit_burst),
            alerts=self.ports.alerts(),
        )

    @part
    def marks(self) -> "MarkRing":
        """Build the keys for marks of records."""
        from shared.ledger.marks import MarkRing

        return MarkRing(self.settings.marks_secrets, self.settings.ledger_signing_keys)

    @part
    def key_store(self) -> "KeyStore":
        """Build the store of the registry of public keys."""
        from shared.ledger.key_store import KeyStore

        return KeyStore(self.ports.documents(), self.marks, self.settings.ledger_id)

    @part
    def known_keys(self) -> "KnownRegistry":
        """Build the registry of public keys as this instance knows it."""
        from shared.ledger.key_store import KnownRegistry

        return KnownRegistry(self.key_store, self.clock, self.ports.alerts())

    @part
    def keys(self) -> "KeyRing":
        """Build the keys of this instance."""
        from shared.ledger.key_ring import KeyRing

        return KeyRing(self.settings.ledger_signing_keys, self.marks, self.known_keys)

    @part
    def key_acts(self) -> "KeyActs":
        """Build the acts on the registry of public keys."""
        from shared.ledger.key_acts import KeyActs

        return KeyActs(self.key_store, self.known_keys, self.keys, self.marks, self.clock)

    @part
    def key_rotation(self) -> "KeyRotation":
        """Build the work on the registry of public keys that nobody waits for."""
        from shared.sagas.accounts.key_rotation import KeyRotation

        documents, alerts = self.ports.documents(), self.ports.alerts()
        return KeyRotation(documents, self.key_acts, self.known_keys, self.resealing, self.watch, self.clock, alerts)

    @part
    def resealing(self) -> "Resealing":
        """Build the writer of new seals and marks."""
        from shared.ledger.resealing import Resealing

        return Resealing(self.ports.documents(), self.keys, self.settings.ledger_id, self.clock)

    @part
    def public_log(self) -> "PublicLog":
        """Build the public view of the transparency log."""
        from shared.ledger.log.public_log import PublicLog

        return PublicLog(self.ports.documents(), self.clock)

    @part
    def archiver(self) -> "JournalArchiver":
        """Build the mover of journals to the bucket."""
        from shared.bootstrap.schemas import archived
        from shared.ledger.archiving import JournalArchiver

        settings, objects = self.settings, self.ports.objects
        documents = archived(self.ports.documents(), objects, settings.ledger_id)
        return JournalArchiver(
            documents, documents.inner, documents.archives, objects, self.keys, settings.ledger_id, self.clock
        )

    @part
    def relay(self) -> "Relay":
        """Build the relay that publishes the ledger's entries."""
        from shared.ledger.relay import Relay

        return Relay(self.ports.documents(), self.ledger, self.ports.publisher(), self.clock, [self.losses])

    @part
    def sequencer(self) -> "Sequencer":
        """Build the writer of the transparency log."""
        from shared.ledger.log.sequencer import Sequencer

        def is_of_ledger(leaf: "TypedLeaf") -> bool:
            is_rightful = self.ledger.redactions.is_of_ledger(leaf) and self.ledger.archives.is_of_ledger(leaf)
            return is_rightful and self.key_store.has_leaf(leaf)

        return Sequencer(self.ports.documents(), self.ledger.check_links, self.clock, is_of_ledger, self.sign_ups)

    @part
    def analytics(self) -> "UsageAnalytics":
        """Build the analytics of usage by day."""
        from shared.ledger.analytics import UsageAnalytics

        return UsageAnalytics(self.ports.documents(), self.ledger, self.clock)

    @part
    def losses(self) -> "Losses":
        """Build the store of the costs of users' calls that the platform bore."""
        from shared.ledger.losses import Losses

        return Losses(self.ports.documents(), self.ports.alerts(), self.clock)

    @part
    def watch(self) -> "LedgerWatch":
        """Build the watch over the journal."""
        from shared.sagas.accounts.ledger_watch import LedgerWatch

        def is_archived(uid: "Uid", seq: int) -> bool:
            return self.archiver.is_rightful(uid, seq)

        ports = self.ports
        return LedgerWatch(ports.documents(), self.ledger, self.relay, ports.alerts(), self.clock, is_archived)
