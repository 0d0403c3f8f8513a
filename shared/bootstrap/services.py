"""Services of the whole backend: one group of parts for each flow, and the parts that need several flows."""

from typing import TYPE_CHECKING

from shared.bootstrap.agents import AgentServices
from shared.bootstrap.chat import ChatServices
from shared.bootstrap.credits import CreditServices
from shared.bootstrap.crypto import CryptoServices
from shared.bootstrap.health import HealthServices
from shared.bootstrap.images import ImageServices
from shared.bootstrap.log import LogServices
from shared.bootstrap.metering import MeteringServices
from shared.bootstrap.models import ModelServices
from shared.bootstrap.openai import OpenAIServices
from shared.bootstrap.parts import part
from shared.bootstrap.payments import PaymentServices
from shared.bootstrap.ports import Ports
from shared.bootstrap.users import UserServices
from shared.kernel.clock import Clock
from shared.kernel.settings import Settings

if TYPE_CHECKING:
    from shared.sagas.accounts.journal_moves import JournalMoves
    from shared.sagas.accounts.key_revocation import KeyRevocation
    from shared.sagas.accounts.leaving import Leaving
    from shared.sagas.accounts.login_acts import LoginActs
    from shared.sagas.accounts.operators import Operators
    from shared.sagas.accounts.user_list import UserList
    from shared.sagas.engine.jobs import Jobs
    from shared.sagas.engine.stored_gauges import StoredGauges
    from shared.sagas.metering.stop_calls import StopCalls
    from shared.sagas.search.lookup import Lookup
    from shared.users.alert_desk import AlertDesk


class Services:
    """Parts of the whole backend, connected. Safe to share between threads."""

    def __init__(self, settings: Settings, clock: Clock, ports: Ports) -> None:
        self.settings = settings
        self.clock = clock
        self.ports = ports
        base = (settings, clock, ports)
        self.credits = CreditServices(*base)
        self.log = LogServices(*base, self.credits)
        self.health = HealthServices(*base, self.credits)
        self.users = UserServices(*base, self.credits)
        self.models = ModelServices(*base, self.users)
        self.metering = MeteringServices(*base, self.credits, self.models)
        self.chat = ChatServices(*base, self.models, self.metering)
        self.openai = OpenAIServices(*base, self.models, self.metering)
        self.images = ImageServices(*base, self.credits, self.users, self.models)
        self.agents = AgentServices(*base, self.credits, self.users, self.models, self.images)
        self.payments = PaymentServices(
            *base, self.credits, self.users, lambda: self.crypto.providers, lambda: self.crypto.payouts
        )
        self.crypto = CryptoServices(*base, self.credits, self.users, self.payments)

    @part
    def stop_calls(self) -> "StopCalls":
        """Build the service that ends calls on request."""
        from shared.sagas.metering.stop_calls import StopCalls

        return StopCalls(
            calls=self.metering.running_calls,
            requests=self.metering.stop_requests,
            ledger=self.credits.ledger,
            conversations=self.chat.conversations,
            answers=self.openai.answers,
            clock=self.clock,
            waiting_room=self.metering.waiting_room,
        )

    @part
    def operators(self) -> "Operators":
        """Build the service for operators' acts on users and accounts."""
        from shared.sagas.accounts.operators import Operators

        return Operators(
            self.ports.identity(), self.users.profiles, self.credits.ledger, self.users.audit, self.models.catalogue.put
        )

    @part
    def journal_moves(self) -> "JournalMoves":
        """Build the operators' acts that move journals to the bucket and back."""
        from shared.sagas.accounts.journal_moves import JournalMoves

        return JournalMoves(self.ports.identity(), self.users.audit, self.credits.archiver)

    @part
    def login_acts(self) -> "LoginActs":
        """Build the operators' acts on logins."""
        from shared.sagas.accounts.login_acts import LoginActs

        return LoginActs(self.ports.identity(), self.users.profiles, self.users.first_sight, self.users.audit)

    @part
    def user_list(self) -> "UserList":
        """Build the operators' lists of users."""
        from shared.sagas.accounts.user_list import UserList

        return UserList(self.ports.documents(), self.ports.identity())

    @part
    def lookup(self) -> "Lookup":
        """Build the search of operators for anything by its name."""
        from shared.sagas.search.lookup import Lookup

        return Lookup(self.ports.documents(), self.ports.identity(), self.users.audit)

    @part
    def alert_desk(self) -> "AlertDesk":
        """Build the operators' view of alerts."""
        from shared.users.alert_desk import AlertDesk
        from shared.users.operator_acts import AdminCheck

        return AlertDesk(self.ports.documents(), self.users.audit, AdminCheck(self.ports.identity()), self.clock)

    @part
    def leaving(self) -> "Leaving":
        """Build the saga by which a user leaves and all personal data is erased."""
        from shared.sagas.accounts.account_closing import AccountClosing
        from shared.sagas.accounts.leaving import Leaving
        from shared.sagas.payments.customers import Customers
        from shared.users.erasing import AtPath, Below

        customers = Customers(self.ports.documents(), self.ports.payment_providers(), self.clock)

        notes = Below(self.ports.documents(), "accounts/{uid}/notes")
        return Leaving(
            self.ports.documents(),
            AccountClosing(self.credits.ledger, self.users.mailbox_debts),
            self.ports.identity(),
            self.users.profiles,
            self.users.first_sight,
            [
                self.chat.conversations,
                self.models.preferences,
                self.users.api_keys,
                self.openai.answers,
                self.openai.kept_responses,
                self.metering.stop_requests,
                notes,
                self.images.tasks,
                self.images.store,
                customers,
                self.agents.tasks,
                self.credits.losses,
                AtPath(self.ports.documents(), "agent_wallets/{uid}"),
            ],
            self.ports.alerts(),
            self.clock,
        )

    @part
    def key_revocation(self) -> "KeyRevocation":
        """Build the saga that revokes an API key and stops the key's tasks."""
        from shared.ai.agents.store import AgentTaskStore
        from shared.sagas.accounts.key_revocation import KeyRevocation

        return KeyRevocation(
            keys=self.users.api_keys,
            lookup=self.users.key_lookup,
            budgets=self.users.key_budgets,
            agent_tasks=AgentTaskStore(self.ports.documents()),
            image_tasks=self.images.tasks,
            run_agent=self.agents.slice.run,
            run_image=self.images.job.run,
        )

    @part
    def stored_gauges(self) -> "StoredGauges":
        """Build the gauges that documents tell."""
        from shared.sagas.engine.stored_gauges import StoredGauges

        return StoredGauges(self.ports.documents(), self.clock)

    @part
    def jobs(self) -> "Jobs":
        """Build the periodic work, by schedule."""
        from shared.bootstrap.jobs import build_jobs

        return build_jobs(self)
