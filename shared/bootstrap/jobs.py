"""Periodic work in one table: the jobs of every minute and of every day, with the time and the task of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.bootstrap.parts import part

if TYPE_CHECKING:
    from shared.bootstrap.services import Services
    from shared.sagas.accounts.checkpoint_sweep import CheckpointSweep
    from shared.sagas.accounts.day_close import DayClose
    from shared.sagas.accounts.day_sample import SampleSweep
    from shared.sagas.accounts.figure_sweep import FigureSweep
    from shared.sagas.accounts.key_rotation import KeyRotation
    from shared.sagas.accounts.leaving_sweep import LeavingJobs
    from shared.sagas.accounts.ledger_sweep import LedgerJobs
    from shared.sagas.accounts.log_sweep import LogSweep
    from shared.sagas.agents.sweep import AgentJobs
    from shared.sagas.chat.sweep import ConversationJobs
    from shared.sagas.engine.jobs import JobRun, Jobs
    from shared.sagas.health.watch import PartWatch
    from shared.sagas.images.sweep import ImageSweep
    from shared.sagas.payments.crypto_sweep import CryptoJobs
    from shared.sagas.payments.event_listing import EventListing
    from shared.sagas.payments.provider_books import ProviderBooks
    from shared.sagas.payments.sweep import PaymentJobs


@dataclass(eq=False)
class JobWorkers:
    """Objects whose methods do the periodic work."""

    services: "Services"

    @part
    def ledger(self) -> "LedgerJobs":
        """Build the worker for the ledger."""
        from shared.sagas.accounts.ledger_sweep import LedgerJobs

        credits_ = self.services.credits
        return LedgerJobs(
            self.services.ports.documents(), credits_.ledger, credits_.relay, credits_.watch, credits_.losses
        )

    @part
    def days(self) -> "DayClose":
        """Build the worker that closes days."""
        from shared.ledger.account_seals import AccountSeals
        from shared.sagas.accounts.day_close import DayClose

        credits_, ports = self.services.credits, self.services.ports
        seals = AccountSeals(credits_.keys, self.services.settings.ledger_id)
        return DayClose(ports.documents(), credits_.days, seals, credits_.watch, ports.alerts(), self.services.clock)

    @part
    def sample(self) -> "SampleSweep":
        """Build the worker that verifies a random sample of accounts."""
        from shared.sagas.accounts.day_sample import SampleSweep

        credits_ = self.services.credits
        documents, clock = self.services.ports.documents(), self.services.clock
        return SampleSweep(documents, credits_.days, credits_.ledger, credits_.watch, clock)

    @part
    def parts(self) -> "PartWatch":
        """Return the watch of the parts that this backend depends on."""
        return self.services.health.watch

    @part
    def figures(self) -> "FigureSweep":
        """Build the worker that keeps the figures of the platform."""
        from shared.sagas.accounts.figure_sweep import FigureSweep

        ports = self.services.ports
        return FigureSweep(ports.documents(), ports.alerts(), self.services.credits.figure_count)

    @part
    def checkpoints(self) -> "CheckpointSweep":
        """Build the worker that signs the log."""
        from shared.sagas.accounts.checkpoint_sweep import CheckpointSweep

        return CheckpointSweep(lambda: self.services.log.signer)

    @part
    def keys(self) -> "KeyRotation":
        """Return the worker for the registry of public keys."""
        return self.services.credits.key_rotation

    @part
    def log(self) -> "LogSweep":
        """Build the worker for the transparency log."""
        from shared.sagas.accounts.log_sweep import LogSweep

        ports, sequencer = self.services.ports, self.services.credits.sequencer

        clock = self.services.clock
        return LogSweep(ports.documents(), sequencer, ports.alerts(), clock, lambda: self.services.log.gate)

    @part
    def payments(self) -> "PaymentJobs":
        """Build the worker for payments and notices."""
        from shared.sagas.payments.sweep import PaymentJobs

        payments = self.services.payments
        return PaymentJobs(
            payments.store,
            payments.settlement,
            payments.inbox,
            payments.notices,
            self.services.clock,
        )

    @part
    def event_listing(self) -> "EventListing":
        """Return the worker that lists providers' events."""
        return self.services.payments.event_listing

    @part
    def provider_books(self) -> "ProviderBooks":
        """Build the worker that compares closed days with providers' listings."""
        from shared.sagas.payments.provider_books import ProviderBooks

        ports, days, payments = self.services.ports, self.services.credits.days, self.services.payments
        return ProviderBooks(ports.documents(), days, lambda: payments.providers, ports.alerts(), self.services.clock)

    @part
    def crypto(self) -> "CryptoJobs":
        """Build the worker for crypto payments."""
        from shared.sagas.payments.crypto_sweep import CryptoJobs

        return CryptoJobs(lambda: self.services.crypto)

    @part
    def leavings(self) -> "LeavingJobs":
        """Build the worker for users who leave."""
        from shared.sagas.accounts.leaving_sweep import LeavingJobs

        return LeavingJobs(self.services.leaving)

    @part
    def conversations(self) -> "ConversationJobs":
        """Build the worker for deleted conversations."""
        from shared.sagas.chat.sweep import ConversationJobs

        return ConversationJobs(self.services.chat.conversations.deletions)

    @part
    def images(self) -> "ImageSweep":
        """Build the worker for image tasks."""
        from shared.sagas.images.sweep import ImageSweep

        images = self.services.images
        return ImageSweep(
            documents=self.services.ports.documents(),
            tasks=images.tasks,
            start=images.start,
            job=images.job,
            clock=self.services.clock,
        )

    @part
    def agents(self) -> "AgentJobs":
        """Build the worker for agent tasks."""
        from shared.sagas.agents.sweep import AgentJobs

        return AgentJobs(self.services.agents.tasks)


@dataclass(frozen=True, slots=True)
class JobEntry:
    """Job of the table. `seconds` is the most that the job takes in one run."""

    name: str
    seconds: float
    task: str
    work: "Callable[[JobWorkers], Callable[[JobRun], None]]"


JOBS: Mapping[str, tuple[JobEntry, ...]] = {
    "every_minute": (
        JobEntry(
            "relay",
            60,
            "Publish entries of the ledger that the trigger has not published, and project usage.",
            lambda workers: workers.ledger.relay,
        ),
        JobEntry(
            "log",
            55,
            "Append new entries of the ledger to the transparency log, and take in those that no marker tells of.",
            lambda workers: workers.log.sweep,
        ),
        JobEntry(
            "checkpoint",
            90,
            "Sign the head of the transparency log if the log grew, and anchor the checkpoint where nothing changes.",
            lambda workers: workers.checkpoints.sign,
        ),
        JobEntry(
            "expire",
            60,
            "End holds and lots whose time is up: charge the accrued part and give the rest back.",
            lambda workers: workers.ledger.expire,
        ),
        JobEntry(
            "keys",
            60,
            "Announce new signing keys. Seal and mark everything again before a key whose end has come is retired.",
            lambda workers: workers.keys.keys,
        ),
        JobEntry(
            "notices",
            40,
            "Handle stored notices of payment providers whose trigger was lost or has failed.",
            lambda workers: workers.payments.notices,
        ),
        JobEntry(
            "payments",
            60,
            "Settle payments whose worker died, or whose provider is to be asked again.",
            lambda workers: workers.payments.resume,
        ),
        JobEntry(
            "provider_events",
            30,
            "List each payment provider's events since the last listing, for notices that never arrived.",
            lambda workers: workers.event_listing.list_events,
        ),
        JobEntry(
            "chains",
            60,
            "Look at each chain, and follow the addresses where coins arrived.",
            lambda workers: workers.crypto.watch,
        ),
        JobEntry(
            "crypto_addresses",
            60,
            "Follow the addresses where coins are not final or payments not settled.",
            lambda workers: workers.crypto.follow,
        ),
        JobEntry(
            "crypto_payouts",
            30,
            "Follow the transactions that pay refunds in coins, until they are final.",
            lambda workers: workers.crypto.follow_payouts,
        ),
        JobEntry(
            "cold_addresses",
            20,
            "Read the levels of addresses that are no longer hot, each once a day.",
            lambda workers: workers.crypto.read_cold,
        ),
        JobEntry(
            "leavings",
            60,
            "Continue the erasure of users who leave, if a step failed or the last erasure is due.",
            lambda workers: workers.leavings.resume,
        ),
        JobEntry(
            "conversation_deletions",
            60,
            "Delete the messages of large conversations that were deleted.",
            lambda workers: workers.conversations.delete,
        ),
        JobEntry(
            "image_tasks",
            30,
            "Call for a worker of image tasks whose message was lost or whose worker died.",
            lambda workers: workers.images.sweep,
        ),
        JobEntry(
            "agent_tasks",
            60,
            "Publish the message of agent tasks again, if the message was lost or the worker died.",
            lambda workers: workers.agents.sweep,
        ),
        JobEntry(
            "parts",
            30,
            "Look at each part that this backend depends on, and alert for one that stays down.",
            lambda workers: workers.parts.run,
        ),
        JobEntry(
            "close_day",
            60,
            "Close each day after its end: all accounts in one signed record, compared with the day before.",
            lambda workers: workers.days.close,
        ),
        JobEntry(
            "provider_books",
            60,
            "Compare each closed day with the listings of payment providers, payment by payment.",
            lambda workers: workers.provider_books.compare,
        ),
    ),
    "every_day": (
        JobEntry(
            "audit",
            240,
            "Verify each account's new entries and a part of the older ones. A finding freezes the account and alerts.",
            lambda workers: workers.ledger.audit,
        ),
        JobEntry(
            "key_registry",
            30,
            "Compare the entries of the registry of keys with the registry, and alert if they differ.",
            lambda workers: workers.keys.check,
        ),
        JobEntry(
            "lost_accounts",
            60,
            "List all accounts, and alert for each whose document is gone although other documents are there.",
            lambda workers: workers.ledger.audit_lost,
        ),
        JobEntry(
            "figures",
            120,
            "Count entries that the figures of the platform lack, and compare the figures with the books of the log.",
            lambda workers: workers.figures.sweep,
        ),
        JobEntry(
            "losses",
            30,
            "Log the sum of the platform's losses on each model.",
            lambda workers: workers.ledger.report_losses,
        ),
        JobEntry(
            "day_sample",
            60,
            "Verify random accounts of the last closed day from their first entry, and compare them with the day.",
            lambda workers: workers.sample.verify,
        ),
        JobEntry(
            "reconcile_users",
            100,
            "Find users whose login is gone without an event, and let them leave.",
            lambda workers: workers.leavings.reconcile,
        ),
    ),
}
"""Jobs by the scheduled function that runs them, in the order of the first run."""


def build_jobs(services: "Services") -> "Jobs":
    """Build the runner of the table's jobs."""
    from shared.sagas.engine.jobs import Jobs, PeriodicJob

    workers = JobWorkers(services)
    by_schedule = {
        schedule: tuple(
            PeriodicJob(name=entry.name, seconds=entry.seconds, run=entry.work(workers)) for entry in entries
        )
        for schedule, entries in JOBS.items()
    }
    return Jobs(services.ports.documents(), services.clock, by_schedule, alerts=services.ports.alerts())
