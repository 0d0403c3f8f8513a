"""Users and operators over the memory adapters: the whole of `users` and its sagas, put together for a test."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from shared.ai.chat.conversations import ConversationStore
from shared.bootstrap import Services
from shared.bootstrap.memory import memory
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import Data, Documents
from shared.kernel.expected import ExpectedVersions
from shared.kernel.ids import LotId, OperationId, Uid, operation_id
from shared.kernel.money import Micro
from shared.kernel.settings import Settings, parse_settings
from shared.ledger.commands import Grant
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.identity import MemoryIdentity
from shared.sagas.accounts.account_closing import AccountClosing
from shared.sagas.accounts.bonus_caps import BonusCaps
from shared.sagas.accounts.leaving import Leaving
from shared.sagas.accounts.operators import Operators
from shared.users.erasing import Below, Erasable
from shared.users.mailbox import mark_keys
from shared.users.principal import Principal
from shared.users.profiles import Profile
from tests.support.adapters import replace_adapters
from tests.support.indexes import stored

CREDIT = Micro(1_000_000)


def signing_key(kid: str, byte: int) -> str:
    """A key for LEDGER_SIGNING_KEY."""
    return f"{kid}:{base64.b64encode(bytes([byte]) * 32).decode()}"


def settings(**changes: str) -> Settings:
    """Settings as production has them."""
    return parse_settings({"GCLOUD_PROJECT": "demo-test", "LEDGER_SIGNING_KEY": signing_key("k1", 1), **changes})


@dataclass
class People:
    """One project in memory. `again` is another instance of it on the same data, as after a crash."""

    documents: Documents = field(default_factory=stored)
    clock: ManualClock = field(default_factory=ManualClock)
    settings: Settings = field(default_factory=settings)
    identity: MemoryIdentity = field(default=None)  # type: ignore[assignment]
    alerts: MemoryAlerts = field(default_factory=MemoryAlerts)
    parts: tuple[Erasable, ...] | None = None

    def __post_init__(self) -> None:
        if self.identity is None:
            self.identity = MemoryIdentity(self.clock)  # type: ignore[unreachable]
        services = Services(self.settings, self.clock, memory(self.settings, self.clock))
        replace_adapters(services, documents=self.documents, identity=self.identity, alerts=self.alerts)
        users = services.users
        self.ledger, self.profiles = services.credits.ledger, users.profiles
        self.first_sight, self.greeting = users.first_sight, users.greeting
        self.bonus, self.debts, self.audit = users.welcome_bonus, users.mailbox_debts, users.audit
        keys = mark_keys(self.settings.marks_secrets, [key.seed for key in self.settings.ledger_signing_keys])
        self.caps = BonusCaps(self.documents, services.ports.domain_lists(), self.clock, keys)
        if self.parts is None:
            self.parts = (
                ConversationStore(self.documents, self.clock),
                Below(self.documents, "accounts/{uid}/notes"),
                Below(self.documents, "users/{uid}/settings"),
            )
        self.leaving = Leaving(
            self.documents,
            AccountClosing(self.ledger, self.debts),
            self.identity,
            self.profiles,
            self.first_sight,
            self.parts,
            self.alerts,
            self.clock,
        )
        self.operators = Operators(self.identity, self.profiles, self.ledger, self.audit, self.put_model)
        self.models: dict[str, Data] = {}

    def put_model(
        self, model_id: str, fields: Mapping[str, Any], expected: ExpectedVersions | None = None
    ) -> tuple[Data | None, Data]:
        before = self.models.get(model_id)
        if expected is not None:
            expected.require(before)
        self.models[model_id] = dict(fields)
        return before, dict(fields)

    def again(self, documents: Documents | None = None, **changes: Any) -> "People":
        return replace(self, documents=documents or self.documents, parts=None, **changes)

    def resume_leavings(self, limit: int = 10, deadline: Deadline = NEVER) -> int:
        """Continue the departures that are due, and return the number of those that nobody else had."""
        return sum(self.leaving.resume(each, deadline) is not None for each in self.leaving.due(limit))

    def reconcile(self) -> Uid | None:
        """Let the users of the first page leave whose login is gone, and return where the next page begins."""
        gone, after = self.leaving.gone(after=None)
        for uid in gone:
            self.leaving.leave(uid)
        return after

    def user(self, email: str | None = "ann@example.com", **details: Any) -> Principal:
        """A user who signed up and was seen."""
        principal = self.stranger(email, **details)
        self.first_sight.see(principal)
        return principal

    def stranger(self, email: str | None = "ann@example.com", **details: Any) -> Principal:
        """A user who signed up, with a token."""
        return self.identity.verify(self.identity.token(self.identity.sign_up(email, **details)))

    def operator(self, *roles: str, email: str = "root@example.com") -> Principal:
        return self.user(email, claims={"roles": list(roles)})

    def grant(self, uid: Uid, whole: int, lot: str = "lot_test") -> None:
        """So many whole credits."""
        operation, amount = operation_id("test", uid, lot), Micro(whole * CREDIT)
        grant = Grant(operation=operation, amount=amount, lot=LotId(lot), source="promo:test")
        self.ledger.execute(uid, grant)

    def profile(self, uid: Uid) -> Profile:
        found = self.profiles.get(uid)
        assert found is not None
        return found

    def stored(self, path: str) -> Mapping[str, Any]:
        found = self.documents.get(path)
        assert found is not None
        return found.data


def op(name: str) -> OperationId:
    return operation_id("test", name)
