"""Scenes for edits of stored accounts: two honest accounts, published and audited, and ways to change them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from shared.kernel.canonical import canonical, parse_canonical
from shared.kernel.clock import MINUTE
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Data, Delete, Document, Put
from shared.kernel.errors import DomainError
from shared.kernel.ids import Uid
from shared.kernel.settings import SigningKey
from shared.ledger.account import Account
from shared.ledger.account_audit import AccountAudits
from shared.ledger.account_documents import account_path, plain_fields, state_path
from shared.ledger.account_seals import AccountSeals
from shared.ledger.analytics import UsageAnalytics
from shared.ledger.entries import body_hash, genesis
from shared.ledger.errors import IntegrityFailed
from shared.ledger.key_registry import KeyRegistry
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import ENTRY_CONTEXT, from_base64
from shared.ledger.ledger import Ledger
from shared.ledger.marks import MarkRing
from shared.ledger.past import MemoryPast
from shared.ledger.record_seals import RecordSeals
from shared.ledger.relay import Relay
from shared.ledger.running_account import RunningAccount
from shared.ledger.store import entry_path
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.publisher import MemoryPublisher
from shared.sagas.accounts.audit_sweep import AuditSweep
from shared.sagas.accounts.ledger_watch import LedgerWatch
from shared.sagas.engine.jobs import JobRun
from tests.support import books as ask
from tests.tamper.accounts import paths_of

LEDGER = "demo-test"
ADA, BOB = Uid("ada"), Uid("bob")
OLD, LIVE = SigningKey(kid="old", seed=bytes(range(32))), SigningKey(kid="live", seed=bytes(range(1, 33)))
START = 1_790_000_000_000
RETIRED_AT = START - MINUTE
MARKS = ("a secret for marks, at least 32 characters",)


class FixedKeys:
    """Registry that one instance knows, and that never changes."""

    def __init__(self, registry: KeyRegistry) -> None:
        self._registry = registry

    def current(self) -> KeyRegistry:
        return self._registry

    def look_for(self, kid: str) -> KeyRegistry:
        return self._registry

    def for_signing(self) -> KeyRegistry:
        return self._registry


def _registry() -> KeyRegistry:
    old, live = (KeyRing((key,)).held[0] for key in (OLD, LIVE))
    return KeyRegistry(
        keys=(replace(old, status="retired", until=RETIRED_AT), replace(live, since=0)),
        ends=(("old", RETIRED_AT),),
        heads=("0" * 64,),
    )


REGISTRY = _registry()
KEYS = KeyRing((LIVE,), MarkRing(MARKS), FixedKeys(REGISTRY))
THIEF_OF_OLD = KeyRing((OLD, LIVE), MarkRing(MARKS))
THIEF_OF_LIVE = KeyRing((LIVE,), MarkRing(MARKS))
STRANGER = KeyRing((SigningKey(kid="live", seed=bytes(32)),), MarkRing(("another secret that is long enough, too",)))


@dataclass(eq=False)
class Scene:
    """A store with the accounts of Ada and Bob. `early` has all documents of a time when both had fewer entries."""

    documents: MemoryDocuments = field(default_factory=MemoryDocuments)
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    alerts: MemoryAlerts = field(default_factory=MemoryAlerts)
    early: Mapping[str, Document] = field(default_factory=dict)

    def copy(self) -> "Scene":
        """Return the same scene on a store of its own."""
        documents = MemoryDocuments()
        documents._documents = dict(self.documents._documents)
        documents._ids = {name: list(ids) for name, ids in self.documents._ids.items()}
        documents._ticks = self.documents._ticks
        return Scene(documents=documents, clock=ManualClock(self.clock.now()), early=self.early)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def ledger(self, keys: KeyRing = KEYS, ledger: str = LEDGER) -> Ledger:
        """Return a fresh instance, cold as after a restart."""
        return Ledger(self.documents, self.clock, keys, ledger_id=ledger, hold_lifetime_seconds=900, alerts=self.alerts)

    @property
    def relay(self) -> Relay:
        return Relay(self.documents, self.ledger(), MemoryPublisher(), self.clock)

    @property
    def watch(self) -> LedgerWatch:
        return LedgerWatch(self.documents, self.ledger(), self.relay, self.alerts, self.clock)

    @property
    def seq(self) -> int:
        """Number of entries that Ada's account counts."""
        return int(str(self.data(account_path(ADA))["seq"]))

    # ── reads and writes of a stranger ───────────────────────────────────────────────────────────────────────────────

    def data(self, path: str) -> dict[str, Any]:
        found = self.documents.get(path)
        assert found is not None, path
        return dict(found.data)

    def put(self, path: str, data: Data) -> None:
        self.documents.commit([Put(path, data)])

    def change(self, path: str, **fields: Any) -> None:
        self.put(path, {**self.data(path), **fields})

    def drop(self, path: str, *names: str) -> None:
        self.put(path, {name: value for name, value in self.data(path).items() if name not in names})

    def remove(self, *paths: str) -> None:
        self.documents.commit([Delete(path) for path in paths])

    def paths(self, part: str = "", uid: Uid = ADA) -> list[str]:
        """Return the paths of an account's documents that contain `part`."""
        return [path for path in paths_of(self.documents, uid) if part in path]

    def bring_back(self, paths: Iterable[str]) -> None:
        """Write documents as they stood early, and remove those that were not there."""
        for path in paths:
            if path in self.early:
                self.put(path, self.early[path].data)
            else:
                self.remove(path)

    def entry(self, seq: int) -> dict[str, Any]:
        body: Any = parse_canonical(str(self.data(entry_path(ADA, seq))["body"]))
        return dict(body)

    def sign(self, seq: int, body: Mapping[str, Any], keys: KeyRing) -> str:
        """Write an entry with this body, and return its hash."""
        text = canonical({**body, "kid": keys.kid}).decode()
        signature = from_base64(keys.sign(ENTRY_CONTEXT, body_hash(text).encode()))
        self.change(entry_path(ADA, seq), body=text, signature=signature, kind=body["kind"])
        return body_hash(text)

    def rewrite(self, first: int, keys: KeyRing) -> None:
        """Give the account a million more from entry `first` on, sign all entries behind, and seal the account."""
        account = RunningAccount.of(Account(ledger=LEDGER, uid=ADA, head=genesis(LEDGER, ADA)), MemoryPast())
        for seq in range(1, self.seq + 1):
            body = self.entry(seq)
            if seq == first:
                body["postings"] = [{**body["postings"][0], "amount": body["postings"][0]["amount"] + 10**6}]
            before = account.head
            account.post(body, before)
            told = {"posted": account.available + account.held, "held": account.held, "debt": account.debt}
            is_new = seq >= first
            account.head = self.sign(seq, {**body, "prev": before, **told}, keys) if is_new else _hash(self, seq)
        self.seal(account.account(), keys)

    def seal(self, account: Account, keys: KeyRing) -> None:
        number = int(str(self.data(state_path(ADA))["version"]))
        self.put(state_path(ADA), AccountSeals(keys, LEDGER).data(account, number, "nonce"))
        self.put(account_path(ADA), plain_fields(account))

    def reseal(self, path: str, state: str) -> None:
        """Write a record with a true mark, as a thief of the marks' secret."""
        self.change(path, **RecordSeals(KEYS, LEDGER).sealed(path, state))

    # ── what finds an edit ───────────────────────────────────────────────────────────────────────────────────────────

    def audit(self) -> list[tuple[int, str]]:
        """Return the findings of the next nightly audit of Ada."""
        audits = AccountAudits(self.documents, KEYS, LEDGER, self.alerts)
        found = [(each.seq, each.rule) for each in audits.audit(ADA, Deadline.within(self.clock, 1_000)).findings]
        return found + [(0, str(each.fields["rule"])) for each in self.alerts.raised if each.fields.get("uid") == ADA]

    def lost(self) -> list[tuple[int, str]]:
        """Return the findings of the daily job that lists missing accounts."""
        AuditSweep(self.documents, self.ledger(), self.watch).audit_lost(JobRun("", self.clock, 60))
        return [(int(str(each.fields["seq"])), str(each.fields["rule"])) for each in self.alerts.raised]

    def operation(self, *commands: Any) -> list[tuple[int, str]]:
        """Return the findings of the next operations on Ada's account."""
        found = []
        for command in commands or (ask.charge(1, operation="next"),):
            try:
                self.ledger().execute(ADA, command)
            except IntegrityFailed as failure:
                found.append((int(failure.params["seq"]), str(failure.params["rule"])))
            except DomainError as error:
                found.append((0, error.code))
        return found

    def published(self) -> list[tuple[int, str]]:
        """Return the findings of the relay, a minute later at the latest."""
        self.watch.relay(ADA)
        return [(int(str(each.fields["seq"])), str(each.fields["rule"])) for each in self.alerts.raised]

    def triggered(self, seq: int) -> list[tuple[int, str]]:
        """Return the findings of the trigger of a changed entry, seconds later."""
        self.watch.entry_changed(ADA, seq)
        return [(int(str(each.fields["seq"])), str(each.fields["rule"])) for each in self.alerts.raised]

    def verified(self) -> list[tuple[int, str]]:
        """Return the findings of the verifier in an export of Ada's account."""
        return [(each.seq, each.rule) for each in self.ledger().verify(ADA)]


def _hash(scene: Scene, seq: int) -> str:
    return body_hash(str(scene.data(entry_path(ADA, seq))["body"]))


def honest() -> Scene:
    """Build the scene: all kinds of documents, published and audited twice, with more entries in between."""
    scene = Scene()
    for uid in (ADA, BOB):
        _life(scene, uid)
    _settle(scene)
    scene.early = dict(scene.documents._documents)
    scene.clock.advance(MINUTE)
    for uid in (ADA, BOB):
        for name in ("late1", "late2", "late3"):
            scene.ledger().execute(uid, ask.charge(11, operation=name))
    _settle(scene)
    return scene


def _life(scene: Scene, uid: Uid) -> None:
    ledger = scene.ledger()
    for commands in (
        [ask.grant("gift", 100, operation="g1"), ask.grant("paid", 5_000, operation="g2", priority=20, is_paid=True)],
        [ask.hold("h1", 60, operation="h1"), ask.charge(40, operation="empty")],
        [ask.capture("h1", 60, operation="c1"), ask.adjust(7, operation="adjust")],
        [ask.hold("h2", 40, operation="h2"), ask.charge(5 + len(uid), operation=f"of-{uid}")],
    ):
        ledger.execute_all(uid, commands)
        scene.clock.advance(1_000)


def _settle(scene: Scene) -> None:
    audits = AccountAudits(scene.documents, KEYS, LEDGER, scene.alerts)
    for uid in (ADA, BOB):
        scene.relay.relay(uid)
        UsageAnalytics(scene.documents, scene.ledger(), scene.clock).follow(uid)
        assert audits.audit(uid, Deadline.within(scene.clock, 1_000)).findings == ()
    assert scene.alerts.raised == []


Found = Callable[[Scene], list[tuple[int, str]]]
__all__ = ["ADA", "BOB", "KEYS", "LEDGER", "STRANGER", "THIEF_OF_LIVE", "THIEF_OF_OLD", "Found"]
