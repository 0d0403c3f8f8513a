"""One account, several instances, bad weather, one thread: a history that its seed alone decides.

Instances meet inside each other's store calls: whenever one reads or commits, another may do whole operations in
between, and one that pauses there finds a changed world. Their clocks disagree. Commands are delivered late, in another
order and more than once, and are coalesced as threads would do it. Every commit that lands is held to the laws; what
callers were told is held against what is stored, at once and in the end.
"""

import base64
import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson

from shared.kernel.deadline import Deadline
from shared.kernel.documents import Documents, OutcomeUnknown, Query
from shared.kernel.errors import DomainError, IdempotencyMismatch, Unavailable
from shared.kernel.ids import HoldId, OperationId, Uid, derived_id
from shared.kernel.money import Micro
from shared.kernel.settings import SigningKey
from shared.ledger.account_audit import AccountAudits, AuditSizes
from shared.ledger.account_documents import account_path
from shared.ledger.commands import BudgetClaim, Command, Expire, PlaceHold, RateLimit
from shared.ledger.committer import Committer
from shared.ledger.decide import decide
from shared.ledger.key_ring import KeyRing
from shared.ledger.lanes import CommandAnswer
from shared.ledger.ledger import Ledger
from shared.ledger.operation_records import facts_of
from shared.ledger.receipts import Receipt
from shared.ledger.store import AccountStore, operation_path
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.simulation.laws import Lawful, Laws
from tests.support import books
from tests.support.concurrent_callers import together
from tests.support.ledger_faults import COMMIT_FAULTS, Call, Fault, Weather

UID = Uid("simulated")
INSTANCES = 3
LEDGER = "demo-simulated"
NESTED_MAX = 2
DEADLINE_SECONDS = 25.0
SKEWS = (0, 0, -3_000, 700, 45_000)
"""Clocks are this far off, in ms; an instance's may change whenever it is started again."""
PAUSES = (30_000, 240_000, 1_000_000)
UNDELIVERED_MAX = 6
COLLECTIONS = ("sealed", "entries", "operations", "notes", "lots", "holds", "outbox")


class PlayKeys(KeyRing):
    """Signatures by a keyed hash: who forges what is for other tests, and Ed25519 is most of a history's time."""

    def __init__(self) -> None:
        super().__init__((SigningKey(kid="test-1", seed=bytes(range(32))),))

    def sign(self, context: bytes, message: bytes, kid: str | None = None) -> str:
        return base64.b64encode(hashlib.blake2b(context + message, key=b"play", digest_size=16).digest()).decode()

    def is_signed(self, context: bytes, message: bytes, *, kid: str, signature: str) -> bool:
        return kid == self.kid and signature == self.sign(context, message)


class Skewed(ManualClock):
    """The time that everybody shares, as an instance sees it."""

    def __init__(self, true: ManualClock, skew: int) -> None:
        super().__init__()
        self.true, self.skew = true, skew

    def now(self) -> int:
        return self.true.now() + self.skew

    def monotonic(self) -> float:
        return self.true.monotonic()

    def advance(self, by: int) -> None:
        self.true.advance(by)


@dataclass(frozen=True, slots=True)
class Told:
    """What one caller was told about one command, by which instance."""

    instance: int
    command: Command
    answer: CommandAnswer[Receipt] | BaseException
    nonces: frozenset[str]
    """Of the commits that were tried for it."""


@dataclass
class Simulation:
    """`run` plays so many commands; what is wrong raises AssertionError, and a note on it names the seed."""

    seed: int
    commands_max: int
    documents: Documents = field(default_factory=MemoryDocuments, repr=False)
    keys: KeyRing = field(default_factory=PlayKeys, repr=False)
    told: list[Told] = field(default_factory=list, repr=False)
    ticks: ClassVar[tuple[int, ...]] = (0, 0, 0, 5, 400, 3_000)
    """How long a call of the store takes, in ms."""

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.clock = ManualClock()
        self.laws = Laws(LEDGER, UID, self.keys)
        self.lawful = Lawful(self.documents, self.laws)
        self.nonces = iter(range(10**9))
        self.faults = self.dice.choice([0.0, 0.02, 0.1, 0.3])
        self.kinds: tuple[Fault, ...] = self.dice.choice([COMMIT_FAULTS, ("late",), ("late", "lost")])
        self.meetings = self.dice.choice([0.0, 0.1, 0.4])
        self.pauses = self.dice.choice([0.0, 0.02])
        self.weathers = [Weather(self.lawful, self._script(n)) for n in range(INSTANCES)]
        self.clocks = [Skewed(self.clock, self.dice.choice(SKEWS)) for _ in range(INSTANCES)]
        self.committers = [self._committer(n) for n in range(INSTANCES)]
        self.busy: set[int] = set()
        self.commands: list[Command] = []
        self.undelivered: list[Command] = []

    def run(self) -> None:
        """Play, let the weather clear, and hold what was told against what is stored."""
        try:
            self.play()
            self._judge()
        except Exception as error:
            error.add_note(f"seed {self.seed}, {self.commands_max} commands")
            raise

    def play(self) -> None:
        """So many commands, with time between them."""
        while len(self.told) < self.commands_max:
            self.clock.advance(self.dice.choice([0, 1, 50, 1_000, 5_000, 60_000]))
            self._act(self.dice.randrange(INSTANCES))
        self.clear()

    def clear(self) -> None:
        """The weather clears: whatever is still under way arrives, or has lost its precondition."""
        self.faults = self.meetings = self.pauses = 0.0
        for weather in self.weathers:
            weather.settle()

    # Instances and weather ---------------------------------------------------------------------------------------

    def _committer(self, number: int) -> Committer:
        return Committer(
            AccountStore(self.weathers[number], self.keys, LEDGER),
            self.clocks[number],
            jitter=self.dice.random,
            new_nonce=lambda: str(next(self.nonces)),
            new_salt=lambda: "salt",
        )

    def _script(self, number: int) -> Any:
        def script(call: Call) -> Fault | None:
            while len(self.busy) <= NESTED_MAX and self.dice.random() < self.meetings:
                self._act_another()
            if self.dice.random() < self.pauses:
                self._pause()
            self.weathers[number].delay = self.dice.choice([1, 1, 2, 5, 20])
            self.clock.advance(self.dice.choice(self.ticks))
            if self.dice.random() >= self.faults:
                return None
            return self.dice.choice(self.kinds) if call.kind == "commit" else "unavailable"

        return script

    def _pause(self) -> None:
        """An instance stands still between two of its steps, for as long as machines do; the others go on."""
        for _ in range(self.dice.randrange(1, 5)):
            self.clock.advance(self.dice.choice(PAUSES))
            self._act_another()

    def _act_another(self) -> None:
        if len(self.busy) <= NESTED_MAX and len(self.busy) < INSTANCES:
            self._act(self.dice.choice([n for n in range(INSTANCES) if n not in self.busy]))

    def _act(self, number: int) -> None:
        if number in self.busy or len(self.busy) > NESTED_MAX:
            return
        if self.dice.random() < 0.02:
            self.clocks[number].skew = self.dice.choice(SKEWS)
            self.committers[number] = self._committer(number)
        batch, before = self._batch(), len(self.told)
        if not batch:
            return
        self.busy.add(number)
        for job in together(self.committers[number], UID, batch, deadline=self.clock.monotonic() + DEADLINE_SECONDS):
            assert job.answer is not None
            self._note(Told(number, job.command, job.answer, frozenset(job.nonces)))
        self.busy.remove(number)
        if len(self.told) == before + 1:
            self._judge_refusal(self.told[-1])

    def _note(self, told: Told) -> None:
        """Whoever is told that it is done can look, and find it done so."""
        self.told.append(told)
        answer, operation = told.answer, told.command.operation
        assert isinstance(answer, CommandAnswer | DomainError), answer
        if isinstance(answer, CommandAnswer) and operation:
            if told.command.record == "none":
                assert operation in self.laws.effects, (told, "told done, and it is not")
                return
            assert operation in self.laws.operations, (told, "told done, and it is not")
            assert self.laws.operations[operation]["result"] == facts_of(answer.receipt), (told, "one key, one result")

    # Commands ----------------------------------------------------------------------------------------------------

    def _batch(self) -> list[Command]:
        return [self._command() for _ in range(self.dice.choice([1, 1, 1, 2, 5]))]

    def _command(self) -> Command:
        """Something new, or, as users and brokers do, the same again; what was asked first may come last."""
        if self.commands and self.dice.random() < 0.3:
            return self.dice.choice(self.commands)
        if self.dice.random() < 0.1:
            return self._unrepeatable()
        while len(self.undelivered) < self.dice.randrange(1, UNDELIVERED_MAX):
            command = self._new_command(OperationId(f"op{len(self.commands)}"))
            self.commands.append(command)
            self.undelivered.append(command)
        return self.undelivered.pop(self.dice.randrange(len(self.undelivered)))

    def _unrepeatable(self) -> Command:
        """Something that nobody can ask for again: it leaves no record, and only the journal tells of it."""
        op, amount = OperationId(f"once{next(self.nonces)}"), self.dice.choice([0, 1, 5, 20])
        if self.dice.random() < 0.5:
            return books.charge(amount, operation=op, record="none")
        return books.hold(derived_id("hold", op), amount, operation=op, record="none")

    def _new_command(self, op: OperationId) -> Command:
        dice, amount = self.dice, self.dice.choice([0, 1, 5, 20, 100])
        placed = [known.hold for known in self.commands if isinstance(known, PlaceHold)]
        held = dice.choice(placed[-8:]) if placed else "none"
        lot = f"lot{dice.randrange(len(self.commands) // 8 + 2)}"
        cap = (BudgetClaim(id="cap", limit=Micro(60)),) if dice.random() < 0.3 else ()
        name = dice.choice([f"h{dice.randrange(8)}", f"h{len(self.commands)}", *[derived_id("hold", op)] * 3])
        rate = RateLimit(per_minute=600, burst=20)
        dispute, disputed = f"dispute{dice.randrange(6)}", f"lot{dice.randrange(len(self.commands) // 8 + 2)}"
        asked = [known.operation for known in self.commands[-8:] if known.operation]
        expires_at = self.clock.now() + dice.choice([0, 2_000, 100_000]) if dice.random() < 0.5 else None
        makers: list[Callable[[], Command]] = [
            lambda: books.grant(lot, amount + 1, operation=op, expires_at=expires_at, priority=dice.choice([10, 20])),
            lambda: books.grant(lot, amount + 1, operation=op),
            lambda: books.hold(
                HoldId(name),
                amount,
                operation=op,
                lifetime=dice.choice([500, 5_000, 60_000]),
                budgets=cap,
                rate=rate,
                tags=(("model", "m1"),) if amount % 2 else (),
            ),
            lambda: books.extend(held, amount, accrued=dice.choice([0, amount]), operation=op),
            lambda: books.capture(held, amount, operation=op, is_final=dice.random() < 0.7),
            lambda: books.release(held, operation=op, is_unused=dice.random() < 0.5),
            lambda: books.accrue(held, amount, operation=op),
            lambda: books.charge(amount, operation=op, budgets=cap),
            lambda: books.reverse(lot, dice.choice([1, 5, 50]), operation=op),
            lambda: books.restore(lot, dice.choice([0, 1, 5]), into=dice.choice([None, dispute]), operation=op),
            lambda: books.suspend(dispute, *dict.fromkeys([lot, disputed]), operation=op),
            lambda: books.reinstate(dispute, operation=op),
            lambda: books.grant(lot, amount + 1, operation=op, suspension=HoldId(dispute)),
            lambda: books.annul(operation=dice.choice(asked or [op])),
            lambda: books.recover(amount, lot, disputed, operation=op),
            lambda: books.adjust(dice.choice([-20, -1, 1, 20]), operation=op),
            Expire,
        ]
        return dice.choice(makers)()

    # What was told, and what is true -----------------------------------------------------------------------------

    def _judge_refusal(self, told: Told) -> None:
        """Nobody else was there: what is stored now is what the refusal was decided on."""
        if isinstance(told.answer, CommandAnswer | Unavailable):
            return
        snapshot = AccountStore(self.documents, self.keys, LEDGER).read(UID, [told.command])
        record = snapshot.operations.get(told.command.operation)
        if isinstance(told.answer, IdempotencyMismatch):
            assert record is not None, (told, "another command has this key, and none is stored")
            assert record.receipt_for(told.command) is None, (told, "told that the key is another's, and it is not")
            return
        assert record is None, (told, "refused, and it is done")
        assert told.command.record == "kept" or told.command.operation not in self.laws.effects, (told, "it is done")
        now = self.clocks[told.instance].now()
        try:
            decide(snapshot.head.account, told.command, now, kid="", archive=snapshot.archive)
        except DomainError as refusal:
            assert type(refusal) is type(told.answer), (told, refusal)  # noqa: PT017
        else:
            raise AssertionError(told, "refused, and it could have been done")

    def _judge(self) -> None:
        ledger = Ledger(self.documents, self.clock, self.keys, ledger_id=LEDGER, hold_lifetime_seconds=900)
        assert ledger.verify(UID) == []
        self._audit_in_turns()
        by_operation: dict[str, list[Told]] = {}
        for told in self.told:
            if told.command.operation:
                by_operation.setdefault(told.command.operation, []).append(told)
        for operation, all_told in by_operation.items():
            self._judge_operation(operation, all_told)

    def _audit_in_turns(self) -> None:
        """Every turn goes on from a stored position, and comes to what the audit of the whole journal comes to."""
        audits = AccountAudits(self.documents, self.keys, LEDGER, sizes=AuditSizes(page=20, sample_min=5))
        is_complete = False
        while not is_complete:
            turn = audits.audit(UID, Deadline.within(self.clock, 0))
            assert turn.findings == ()
            is_complete = turn.is_complete

    def _judge_operation(self, operation: str, all_told: Sequence[Told]) -> None:
        document = self.documents.get(operation_path(UID, OperationId(operation)))
        is_recorded = all_told[0].command.record == "kept"
        is_stored = document is not None if is_recorded else operation in self.laws.effects
        landed = {orjson.loads(str(document.data["state"]))["nonce"]} if document is not None else set()
        done = [told.answer for told in all_told if isinstance(told.answer, CommandAnswer)]
        unknown = any(isinstance(told.answer, OutcomeUnknown) for told in all_told)
        failed = [told.answer for told in all_told if not isinstance(told.answer, CommandAnswer)]
        assert all(isinstance(answer, DomainError) for answer in failed), failed
        assert all(facts_of(answer.receipt) == facts_of(done[0].receipt) for answer in done), (
            operation,
            "one key, one result",
        )
        assert sum(not answer.is_replay for answer in done) <= 1, (operation, "one key, one effect")
        assert not done or is_stored, (operation, "told done, and it is not")
        assert done or unknown or not is_stored, (operation, "told failed, and it landed")
        for told in all_told:
            if not isinstance(told.answer, CommandAnswer | OutcomeUnknown):
                assert not landed & told.nonces, (operation, told.answer, "refused, and that very try landed")

    def tally(self) -> dict[str, int]:
        """How often each kind of answer was given."""
        kinds = [type(told.answer).__name__ for told in self.told]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}

    def history(self) -> list[tuple[int, str, str]]:
        """Who was told what, in order: what must not depend on the store."""
        return [(told.instance, told.command.operation, _said(told.answer)) for told in self.told]

    def stored(self) -> dict[str, Any]:
        """Every document of the account, by its path."""
        return dict(self._documents())

    def _documents(self) -> Iterator[tuple[str, Any]]:
        own = self.documents.get(account_path(UID))
        if own is not None:
            yield own.path, own.data
        for name in COLLECTIONS:
            for document in self.documents.query(Query(collection=f"{account_path(UID)}/{name}", limit=100_000)):
                yield document.path, document.data


def _said(answer: CommandAnswer[Receipt] | BaseException) -> str:
    if isinstance(answer, CommandAnswer):
        return orjson.dumps([facts_of(answer.receipt), answer.is_replay], option=orjson.OPT_SORT_KEYS).decode()
    return f"{type(answer).__name__} {answer}"
