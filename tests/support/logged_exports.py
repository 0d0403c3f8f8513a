"""Ledgers whose exports have evidence: a registry of keys with a retired key, a closed day, and a signed log."""

from dataclasses import dataclass, field
from typing import Any

from shared.bootstrap import Services
from shared.kernel.clock import DAY, HOUR
from shared.kernel.documents import Documents, Query
from shared.kernel.ids import Uid
from shared.ledger.account_seals import AccountSeals
from shared.ledger.log.waiting import account_visits, leaf_paths, waiting_documents
from shared.sagas.accounts.day_close import DayClose
from shared.sagas.engine.jobs import JobRun
from tests.support.ledgers import charge, grant
from tests.support.log_trees import SIGNER
from tests.support.logged_accounts import sign_head
from tests.support.rotations import NEW, OLD, Fleet

ANN, BOB = Uid("ann"), Uid("bob")
POLICY = f"log {SIGNER.vkey}\nquorum none\n"
Record = dict[str, Any]


@dataclass
class LoggedLedger:
    """Ledger with two accounts. Entries of `ann` are signed by a key that is retired, and by the present key."""

    fleet: Fleet = field(default_factory=Fleet)

    def __post_init__(self) -> None:
        old = self.fleet.deploy(OLD)
        self.fleet.minute(old)
        self.run(old, ANN, grant("a1", 900), charge("a2", 30))
        self.services = self.fleet.deploy(NEW, OLD)
        self.fleet.minute(self.services)
        self.fleet.until_all_know()
        self.fleet.retire(self.services, "old")
        self.run(self.services, ANN, charge("a3", 40))
        self.run(self.services, BOB, grant("b1", 500))
        self.close_day()
        self.run(self.services, ANN, charge("a4", 50))
        self.sign()

    @property
    def documents(self) -> Documents:
        return self.fleet.documents

    def run(self, services: Services, uid: Uid, *commands: Any) -> None:
        for command in commands:
            self.fleet.clock.advance(1_000)
            services.credits.ledger.execute(uid, command)

    def close_day(self) -> None:
        """Let the day end, and close it."""
        clock, services = self.fleet.clock, self.services
        clock.advance(DAY - clock.now() % DAY + HOUR)
        run = JobRun("", clock, 60.0)
        parts = services.credits
        seals = AccountSeals(parts.keys, "demo-test")
        DayClose(self.documents, parts.days, seals, parts.watch, self.fleet.alerts, clock).close(run)

    def append(self) -> int:
        """Let the log catch up, and return the size."""
        accounts = self.documents.query(Query(collection="accounts", limit=100))
        leaves = leaf_paths(waiting_documents(self.documents, None, 100))
        return self.services.credits.sequencer.append(account_visits(accounts), leaves).size

    def sign(self) -> None:
        """Let the log catch up, and sign it."""
        self.append()
        sign_head(self.documents)

    def export(self, uid: Uid = ANN) -> list[str]:
        return list(self.services.credits.ledger.export(uid))
