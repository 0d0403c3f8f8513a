"""Services: all parts of the backend, with the parts that depend on all others."""

from typing import TYPE_CHECKING

from shared.bootstrap.agents import AgentParts
from shared.bootstrap.chat import ChatParts
from shared.bootstrap.operators import OperatorParts
from shared.bootstrap.parts import part

if TYPE_CHECKING:
    from shared.sagas.accounts.key_revocation import KeyRevocation
    from shared.sagas.accounts.leaving import Leaving
    from shared.sagas.engine.jobs import Jobs


class Services(AgentParts, ChatParts, OperatorParts):
    """Parts of the whole backend, connected. Safe to share between threads."""

    @part
    def leaving(self) -> "Leaving":
        """Build the saga by which a user leaves and all personal data is erased."""
        from shared.sagas.accounts.account_closing import AccountClosing
        from shared.sagas.accounts.leaving import Leaving
        from shared.sagas.payments.customers import Customers
        from shared.users.erasing import Below

        customers = Customers(self.documents, self.payment_providers)

        notes = Below(self.documents, "accounts/{uid}/notes")
        return Leaving(
            self.documents,
            AccountClosing(self.ledger, self.mailbox_debts),
            self.identity,
            self.profiles,
            self.first_sight,
            [
                self.conversations,
                self.preferences,
                self.api_keys,
                self.answers,
                self.kept_responses,
                self.stop_requests,
                notes,
                self.image_tasks,
                self.images,
                customers,
                self.agents,
                self.losses,
            ],
            self.alerts,
            self.clock,
        )

    @part
    def key_revocation(self) -> "KeyRevocation":
        """Build the saga that revokes an API key and stops the key's tasks."""
        from shared.ai.agents.store import AgentTaskStore
        from shared.sagas.accounts.key_revocation import KeyRevocation

        return KeyRevocation(
            keys=self.api_keys,
            lookup=self.key_lookup,
            budgets=self.key_budgets,
            agent_tasks=AgentTaskStore(self.documents),
            image_tasks=self.image_tasks,
            run_agent=self.agent_slice.run,
            run_image=self.image_job.run,
        )

    @part
    def jobs(self) -> "Jobs":
        """Build the periodic work, by schedule."""
        from shared.sagas.accounts.leaving_sweep import LeavingJobs
        from shared.sagas.accounts.ledger_sweep import LedgerJobs
        from shared.sagas.agents.sweep import AgentJobs
        from shared.sagas.engine.jobs import Jobs
        from shared.sagas.images.sweep import ImageSweep
        from shared.sagas.payments.sweep import PaymentJobs
        from shared.sagas.payments.views import PaymentViews

        images = ImageSweep(
            documents=self.documents,
            tasks=self.image_tasks,
            start=self.image_start,
            job=self.image_job,
            clock=self.clock,
        )
        ledger = LedgerJobs(self.documents, self.ledger, self.relay, self.ledger_watch, self.losses)
        leavings = LeavingJobs(self.leaving)
        payments = PaymentJobs(
            self.payments, self.settlement, self.inbox, self.payment_inbox, lambda: self.payment_providers, self.clock
        )
        agents = AgentJobs(self.agents)
        by_schedule = {
            "every_minute": (
                *ledger.every_minute(),
                *payments.every_minute(),
                *PaymentViews(self.documents, self.clock).every_minute(),
                *leavings.every_minute(),
                *images.every_minute(),
                *agents.every_minute(),
            ),
            "every_day": (*ledger.every_day(), *leavings.every_day()),
        }
        return Jobs(self.documents, self.clock, by_schedule)
