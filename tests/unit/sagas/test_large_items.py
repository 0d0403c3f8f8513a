"""Every job with an item that is very much too large: finished over several runs, and delaying nobody.

The store advances the clock at each call, and ends the process after each commit in turn.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from shared.ai.chat.deletions import COLLECTION as DELETIONS
from shared.ai.chat.paths import message_path
from shared.bootstrap.jobs import JOBS, JobEntry, JobWorkers
from shared.bootstrap.memory import memory
from shared.bootstrap.services import Services
from shared.kernel.clock import MINUTE, SECOND, Millis, to_datetime
from shared.kernel.documents import Create, Data, Delete, Documents, Query
from shared.kernel.erasing import ERASE_PAGE
from shared.kernel.ids import HoldId, Uid, operation_id
from shared.kernel.money import Micro
from shared.ledger.audit_position import AuditPositions
from shared.ledger.commands import Command, PlaceHold
from shared.ledger.key_ring import KeyRing
from shared.ledger.positions import read_position
from shared.ledger.relay import RELAY_WINDOW
from shared.payments.ports import Notice
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.identity import MemoryIdentity
from shared.platform.memory.payments import PAGE_NOTICES, MemoryProvider
from shared.sagas.accounts.leaving import LEASE_SECONDS
from shared.sagas.engine.jobs import JobRun
from tests.support.adapters import replace_adapters
from tests.support.faults import Crash
from tests.support.ledgers import charge, grant
from tests.support.people import settings
from tests.support.timed_documents import TimedDocuments

ENTRIES = {entry.name: entry for entries in JOBS.values() for entry in entries}
OVER_SECONDS_MAX = 5.0
LARGE, SMALL = Uid("large"), Uid("small")
"""The large item comes first in each job."""


@dataclass
class Project:
    """One project in memory. `run` is one run of a job in a new instance, over a store that takes time or dies."""

    clock: ManualClock = field(default_factory=ManualClock)
    documents: MemoryDocuments = field(default_factory=MemoryDocuments)
    providers: dict[str, MemoryProvider] = field(default_factory=dict)
    cursor: str = ""
    overtime: float = 0.0

    def __post_init__(self) -> None:
        self.identity = MemoryIdentity(self.clock)

    def services(self, documents: Documents | None = None) -> Services:
        known = settings()
        services = Services(known, self.clock, memory(known, self.clock))
        replace_adapters(services, documents=documents or self.documents, identity=self.identity)
        if self.providers:
            replace_adapters(services, payment_providers=self.providers)
        return services

    def run(self, job: JobEntry, *, millis: Millis, seconds: float | None = None, dies_after: int = 0) -> None:
        """Run the job once, for `seconds` instead of the job's own, and note how long the run took beyond its time."""
        timed = TimedDocuments(self.documents, self.clock, millis, dies_after)
        run = JobRun(self.cursor, self.clock, job.seconds if seconds is None else seconds)
        with suppress(Crash):
            job.work(JobWorkers(self.services(timed)))(run)
        self.overtime = max(self.overtime, self.clock.monotonic() - run.deadline.at)
        if not timed.is_dead:
            self.cursor = run.cursor

    def count(self, uid: Uid, *collections: str) -> int:
        found = [
            document
            for collection in collections
            for document in self.documents.query(Query(collection=collection, group=True, limit=10**6))
        ]
        return sum(document.data["uid"] == uid for document in found)

    def store(self, *writes: Create) -> None:
        for first in range(0, len(writes), 1_000):
            self.documents.commit(writes[first : first + 1_000])

    def execute(self, uid: Uid, *commands: Command) -> None:
        ledger = self.services().credits.ledger
        for command in commands:
            ledger.execute(uid, command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Giant:
    """Large item of a job, beside small ones. `left` is what remains to be done for a user.

    `build` takes the pages of the large item. `millis` is the time of a call of the store, with which the large item
    takes several runs. `turns` is the most runs. `seconds` is the time of a run, None for the job's own.
    """

    build: Callable[[Project, int], None]
    left: Callable[[Project, Uid], int]
    millis: Millis
    turns: int
    pause: Millis = MINUTE
    seconds: float | None = None


def leavings(project: Project, pages: int) -> None:
    """Two users leave, one of them with many turns."""
    now = to_datetime(project.clock.now())
    for uid, turns in ((LARGE, pages * ERASE_PAGE), (SMALL, 3)):
        user = {"uid": uid, "status": "active"}
        left: Data = {"uid": uid, "asked_at": now, "due_at": now, "done": [], "attempts": 0, "mailbox": None}
        project.store(Create(f"users/{uid}", user), Create(f"leavings/{uid}", left))
        project.store(*(Create(f"turns/{uid}{number:06d}", {"uid": uid}) for number in range(turns)))


def deletions(project: Project, pages: int) -> None:
    """Two conversations were deleted, one of them with many messages."""
    now = to_datetime(project.clock.now())
    for uid, messages in ((LARGE, pages * ERASE_PAGE), (SMALL, 3)):
        project.store(Create(f"{DELETIONS}/{uid}", {"uid": uid, "asked_at": now, "due_at": now}))
        project.store(*(Create(message_path(uid, f"m{number:06d}"), {"uid": uid}) for number in range(messages)))


def dues(project: Project, pages: int) -> None:
    """Two accounts have holds whose time is up, one of them many."""
    for uid, holds in ((LARGE, 10 * pages), (SMALL, 1)):
        project.execute(uid, grant("g", 500), *(hold(uid, f"h{number}") for number in range(holds)))
    project.clock.advance(60 * SECOND)


def hold(uid: Uid, name: str) -> PlaceHold:
    return PlaceHold(
        operation=operation_id("hold", uid, name),
        amount=Micro(1),
        hold=HoldId(name),
        purpose="chat",
        lifetime=SECOND,
        principal=uid,
    )


def open_holds(project: Project, uid: Uid) -> int:
    kinds = Counter(entry.kind for entry in project.services().credits.ledger.entries(uid, 1, 10**6))
    return kinds["hold"] - kinds["release"]


def journals(project: Project, pages: int) -> None:
    """Two accounts have entries that are neither published nor audited, one of them many."""
    ledger = project.services().credits.ledger
    for uid, entries in ((LARGE, pages * RELAY_WINDOW), (SMALL, 3)):
        project.execute(uid, grant("g", entries))
        ledger.execute_all(uid, [charge(f"c{number}", 1) for number in range(entries - 1)])


def unpublished(project: Project, uid: Uid) -> int:
    return project.services().credits.ledger.balance(uid).seq - read_position(project.documents, uid).published


def unaudited(project: Project, uid: Uid) -> int:
    known = project.services().settings
    positions = AuditPositions(project.documents, KeyRing(known.ledger_signing_keys), known.ledger_id)
    return project.services().credits.ledger.balance(uid).seq - positions.read(uid).position.account.seq


def events(project: Project, pages: int) -> None:
    """Two providers have events that no notice brought, one of them many."""
    for name, count in (("stripe", 3 * pages * PAGE_NOTICES), ("paypal", 3)):
        provider = project.providers[name] = MemoryProvider(project.clock, name)
        now = project.clock.now()
        provider.events += [
            Notice(provider=name, id=f"e{number}", type="x", at=now - (count - number) * SECOND, is_live=False)
            for number in range(count)
        ]


def unlisted(project: Project, uid: Uid) -> int:
    name = {LARGE: "stripe", SMALL: "paypal"}[uid]
    stored = project.documents.query(Query(collection="inbox", limit=10**6))
    return len(project.providers[name].events) - sum(each.id.startswith(f"{name}:") for each in stored)


GIANTS = {
    "relay": Giant(build=journals, left=unpublished, millis=500, turns=4),
    "audit": Giant(build=journals, left=unaudited, millis=400, turns=12, seconds=12),
    "provider_events": Giant(build=events, left=unlisted, millis=400, turns=5),
    "leavings": Giant(
        build=leavings,
        left=lambda project, uid: project.count(uid, "turns"),
        millis=1_000,
        turns=12,
        pause=(LEASE_SECONDS + 1) * SECOND,
    ),
    "conversation_deletions": Giant(
        build=deletions,
        left=lambda project, uid: project.count(uid, "messages", DELETIONS),
        millis=2_000,
        turns=12,
        pause=3 * MINUTE,
    ),
    "expire": Giant(build=dues, left=open_holds, millis=1_000, turns=1),
}
"""Jobs whose items may be large, by name."""
BOUNDED = {
    "parts": "a look at a part is one call with a limit of its own",
    "close_day": "in pages with a stored position: see test_day_close",
    "log": "a round takes at most 2,000 entries, and a large account goes on in the next: see test_log_sweep",
    "notices": "an event is a few documents and one settlement",
    "payments": "a payment is a few documents and a few calls of the provider",
    "chains": "a look at a chain has a time limit of its own, and stores where it stopped: see test_crypto_watcher",
    "crypto_addresses": "an address is one look and a few payments",
    "crypto_payouts": "a payout is one look at a transaction",
    "cold_addresses": "a slice is one call for a thousand addresses",
    "image_tasks": "a task is one message, or one ending",
    "agent_tasks": "a task is one message",
    "keys": "in pages with a stored position: see test_key_rotation",
    "day_sample": "an account with more entries than are left is passed over: see test_day_sample",
    "provider_books": "in pages with a stored position: see test_provider_books",
    "key_registry": "the registry is one document, and few entries",
    "checkpoint": "a run signs one head, and anchors tiles in bounded parts: see test_signer",
    "figures": "a commit counts at most 2,000 entries, and a large account goes on in the next: see test_figures",
    "lost_accounts": "an account without a document is one alert, and its audit has a limit",
    "losses": "in pages with the job's cursor: see test_losses",
    "reconcile_users": "a user who is gone is a leaving of its own",
}
"""Jobs whose items are never large, with the reason."""


def test_every_job_has_a_large_item_or_a_reason_for_none():
    assert set(GIANTS) | set(BOUNDED) == set(ENTRIES)
    assert not set(GIANTS) & set(BOUNDED)


@pytest.mark.parametrize("name", GIANTS)
def test_a_large_item_passes_over_several_runs_and_delays_nobody(name):
    giant, project = GIANTS[name], Project()
    giant.build(project, 20)
    left = [giant.left(project, LARGE)]
    assert left[0] > 0

    while left[-1] and len(left) <= giant.turns:
        project.run(ENTRIES[name], millis=giant.millis, seconds=giant.seconds)
        left.append(giant.left(project, LARGE))
        assert giant.left(project, SMALL) == 0

    assert left[-1] == 0
    assert left == sorted(left, reverse=True)
    assert project.overtime <= OVER_SECONDS_MAX


@pytest.mark.parametrize("dies_after", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("name", GIANTS)
def test_a_large_item_passes_though_every_other_run_is_killed_at_a_page(name, dies_after):
    giant, project = GIANTS[name], Project()
    giant.build(project, 6)
    turn = 0
    while turn < 2 or giant.left(project, LARGE):
        project.run(ENTRIES[name], millis=500, seconds=giant.seconds, dies_after=0 if turn % 2 else dies_after)
        project.clock.advance(giant.pause)
        assert turn == 0 or giant.left(project, SMALL) == 0, "the small item waits one run at most"
        turn += 1
        assert turn <= 2 * giant.turns

    assert project.overtime <= OVER_SECONDS_MAX
    assert project.services().credits.ledger.verify(LARGE) == []


def test_a_user_with_very_much_data_delays_no_other_whose_login_is_gone():
    project = Project()
    leavings(project, 20)
    project.documents.commit([Delete(f"leavings/{uid}") for uid in (LARGE, SMALL)])

    project.run(ENTRIES["reconcile_users"], millis=1_000)

    assert project.count(LARGE, "turns") > 0
    assert project.count(SMALL, "turns") == 0
    assert project.overtime <= OVER_SECONDS_MAX
    assert LARGE in {document.id for document in project.services().leaving.due(9)}


def test_a_broken_item_of_a_job_ends_no_run():
    project = Project()
    leavings(project, 1)
    project.store(Create("leavings/broken", {"uid": "broken", "due_at": to_datetime(1)}))

    project.run(ENTRIES["leavings"], millis=1)

    assert project.count(SMALL, "turns") == 0
