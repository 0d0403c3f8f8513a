"""Try to break the ledger as an impatient, a greedy or a hostile caller would, and by bad luck.

Method: each test plays one attack and then verifies the account's chain and balance.
"""

import hashlib
import threading
from typing import Any

import orjson
import pytest

from shared.kernel.canonical import NotCanonical, parse_canonical
from shared.kernel.documents import Create, Put
from shared.kernel.errors import DomainError, InvalidValue
from shared.kernel.ids import HoldId, OperationId
from shared.kernel.money import AMOUNT_MAX
from shared.ledger.account_documents import account_path, state_path
from shared.ledger.errors import AccountFrozen, HoldResolved, IntegrityFailed, UnknownKey
from shared.ledger.keys import ENTRY_CONTEXT
from shared.ledger.lanes import BATCH_COMMANDS_MAX, CommandAnswer, Job, Lanes
from shared.ledger.ledger import Ledger
from shared.ledger.receipts import AccountTotals, Receipt
from shared.ledger.store import entry_path, operation_path
from shared.ledger.verify.exports import verify_account
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.books import (
    MINUTE,
    Books,
    adjust,
    capture,
    charge,
    close,
    extend,
    freeze,
    grant,
    hold,
    release,
    reverse,
)
from tests.support.ledgers import KEYS, UID

TOTALS = AccountTotals(available=0, held=0, debt=0, status="open", seq=0)
DONE = CommandAnswer(receipt=Receipt(after=TOTALS), is_replay=False)


@pytest.fixture
def books() -> Books:
    return Books()


def ledger_on(documents, clock=None) -> Ledger:
    return Ledger(documents, clock or ManualClock(), KEYS, ledger_id="demo-test", hold_lifetime_seconds=900)


# Spending what one should not ----------------------------------------------------------------------------------------


def test_a_frozen_account_spends_through_no_reservation_beyond_what_it_had_set_aside(books):
    """A tiny reservation, kept open for the day when the account is frozen, is no door to all the rest."""
    books.do(grant("gift", 1_000))
    books.do(hold("door", 1, is_reservation=True))
    books.do(freeze())

    captured = books.said(capture("door", 1_000))

    assert (captured["captured"], books.account.available) == (1, 999)


def test_a_frozen_account_spends_through_no_reservation_bit_by_bit_either(books):
    books.do(grant("gift", 1_000))
    books.do(hold("door", 1, is_reservation=True))
    books.do(freeze())

    for _ in range(5):
        books.do(capture("door", 100, is_final=False))

    assert books.account.available == 999


def test_what_a_turn_had_used_is_charged_though_the_account_was_frozen_meanwhile(books):
    books.do(grant("gift", 1_000))
    books.do(hold("turn", 10))
    books.do(freeze())

    assert books.said(capture("turn", 30)) == {"hold": "turn", "captured": 30, "absorbed": 0, "released": 0}
    with pytest.raises(AccountFrozen):
        books.do(charge(1))


@pytest.mark.parametrize("amount", [-1, -AMOUNT_MAX, AMOUNT_MAX + 1, 2**63, -(2**63) - 1])
def test_no_amount_below_zero_or_beyond_all_bounds_moves_anything(books, amount):
    books.do(grant("gift", 1_000))
    books.do(hold("h", 100))
    before = books.account

    for command in (
        grant("more", amount),
        charge(amount),
        hold("other", amount),
        extend("h", amount),
        extend("h", 1, accrued=amount),
        extend("h", 1, at_least=amount),
        capture("h", amount),
        reverse("gift", amount),
    ):
        with pytest.raises(InvalidValue):
            books.do(command)

    assert books.account == before


def test_a_hold_that_is_captured_in_a_thousand_parts_is_charged_once(books):
    books.do(grant("gift", 1_000))
    books.do(hold("h", 500))

    parts = [books.said(capture("h", 1, is_final=False))["captured"] for _ in range(600)]
    books.do(capture("h", 0))

    assert sum(parts) == 600
    assert (books.account.available, books.account.held) == (400, 0)


def test_extending_and_reversing_in_turns_mints_nothing(books):
    """Held credits are not there to be taken back, and come back to nobody but the debt."""
    books.do(grant("bought", 100, is_paid=True))
    for number in range(6):
        books.do(hold(f"h{number}", books.account.available // 2))
        books.do(reverse("bought", 10 * (number + 1)))
    for number in range(6):
        books.do(release(f"h{number}"))

    assert books.account.available - books.account.debt == 40
    lot = books.lot("bought")
    assert (lot.reversed + lot.owed, lot.spent) == (60, 0)


def test_taking_back_by_many_words_is_taking_back_once(books):
    books.do(grant("bought", 100))
    books.do(charge(100))

    for target in (30, 10, 30, 100, 99, 100, 0):
        books.do(reverse("bought", target))

    assert books.account.debt == 100


def test_an_operator_s_correction_of_what_was_closed_is_refused_and_nothing_is_left_behind(books):
    books.do(grant("gift", 100))
    books.do(hold("h", 50))
    books.do(close())
    before = books.account

    for command in (adjust(5), adjust(-5), grant("late", 1), capture("h", 50), release("h"), reverse("gift", 1)):
        with pytest.raises(DomainError):
            books.do(command)

    assert books.account == before
    assert (before.available, before.held, before.debt) == (0, 0, 0)


def test_a_clock_that_runs_backwards_revives_nothing(books):
    books.do(grant("short", 100, expires_at=books.now + 1_000))
    books.do(hold("h", 40, lifetime=1_000))
    books.now += 2_000
    books.do(charge(0))

    books.now -= 100_000
    with pytest.raises(HoldResolved):
        books.do(capture("h", 1))

    assert (books.account.available, books.account.held) == (0, 0)


# Two at once ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [release("h"), capture("h", 7), capture("h", 0)])
def test_a_hold_is_ended_once_by_a_hundred_who_come_together(end):
    ledger, outcomes = ledger_on(MemoryDocuments()), list[Any]()
    ledger.execute(UID, grant("gift", 100))
    ledger.execute(UID, hold("h", 50))
    barrier = threading.Barrier(32)

    def act(number: int) -> None:
        command = type(end)(**{**_fields(end), "operation": OperationId(f"end{number}")})
        barrier.wait(60)
        try:
            outcomes.append(ledger.execute(UID, command))
        except DomainError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=act, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(isinstance(outcome, HoldResolved) for outcome in outcomes) == 31
    assert ledger.balance(UID).held == 0
    assert ledger.verify(UID) == []


def _fields(command):
    return {name: getattr(command, name) for name in command.__dataclass_fields__}


def test_more_callers_than_a_batch_takes_are_all_answered():
    ledger = ledger_on(MemoryDocuments())
    ledger.execute(UID, grant("gift", BATCH_COMMANDS_MAX + 100))
    committer = ledger._committer
    jobs = [Job(charge(1, operation=f"c{number}"), 1e12) for number in range(BATCH_COMMANDS_MAX + 50)]
    lanes = [committer._lanes.enter(UID, job) for job in jobs]

    while any(job.answer is None for job in jobs):
        committer._lanes.lead(lanes[0], next(job for job in jobs if job.answer is None and job.must_lead))

    assert all(isinstance(job.answer, CommandAnswer) for job in jobs)
    assert ledger.balance(UID).available == 50


class Unlucky(Job):
    """Interrupted in the very moment in which the lead is being handed to it."""

    __slots__ = ("_leads", "chosen", "gone")

    def __init__(self) -> None:
        self.chosen, self.gone = threading.Event(), threading.Event()
        super().__init__(charge(0), 1e12)

    @property
    def must_lead(self) -> bool:
        return self._leads

    @must_lead.setter
    def must_lead(self, leads: bool) -> None:
        if leads:
            self.chosen.set()
            self.gone.wait(0.3)
        self._leads = leads

    def wait(self) -> None:
        self.chosen.wait(60)
        raise KeyboardInterrupt


def test_a_caller_interrupted_while_the_lead_is_handed_to_it_leaves_nobody_waiting_for_ever():
    def work(lane, jobs):
        jobs[0].tell(DONE)
        return jobs[1:]

    lanes, first, unlucky, last = Lanes(work), Job(charge(0), 1e12), Unlucky(), Job(charge(0), 1e12)
    lane = lanes.enter(UID, first)
    lanes.enter(UID, unlucky)

    def be_interrupted() -> None:
        with pytest.raises(KeyboardInterrupt):
            lanes.wait(lane, unlucky)
        unlucky.gone.set()

    interrupted = threading.Thread(target=be_interrupted)
    interrupted.start()
    lanes.lead(lane, first)
    interrupted.join()
    later = threading.Thread(target=lanes.answers, args=(UID, [last]), daemon=True)
    later.start()
    later.join(60)

    assert last.answer is DONE


# Hostile documents ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["[" * 600 + "]" * 600, '{"a":' * 600 + "1" + "}" * 600])
def test_a_text_nested_without_end_is_not_canonical_and_no_crash(text):
    with pytest.raises(NotCanonical):
        parse_canonical(text)


def test_an_entry_nested_without_end_is_tampering_that_is_named():
    documents = MemoryDocuments()
    ledger = ledger_on(documents)
    ledger.execute(UID, grant("gift", 100))
    body = "[" * 600 + "]" * 600
    signature = KEYS.sign(ENTRY_CONTEXT, b"")
    planted = {"body": body, "hash": hashlib.sha256(body.encode()).hexdigest(), "signature": signature, "kind": "grant"}
    documents.commit([Put(entry_path(UID, 1), {"schema": 1, **planted})])

    with pytest.raises(IntegrityFailed) as failure:
        ledger.sound_entries(UID, 1, 1, least=1, before="")
    assert failure.value.params["rule"] == "canonical"
    assert "canonical" in {finding.rule for finding in ledger.verify(UID)}


HOSTILE_LINES = [
    "",
    "null",
    "[]",
    "{}",
    "not json",
    '{"type":"entry"}',
    '{"type":"entry","seq":null}',
    '{"type":"entry","seq":"1","body":1,"hash":2,"kind":3,"schema":4,"signature":5}',
    '{"type":"entry","seq":1e400}',
    '{"type":"entry","seq":-9007199254740993}',
    '{"type":"entry","schema":1,"seq":1,"kind":"grant","body":"[]","hash":"","signature":""}',
    '{"type":"entry","schema":1,"seq":1,"kind":"grant","body":"{}","hash":"","signature":""}',
    '{"type":"account"}',
    '{"type":"account","state":"{}","seal":7,"version":"x","nonce":null,"plain":[]}',
    '{"type":"account","state":"{}","seal":":","version":1.5,"nonce":"n","plain":{}}',
    '{"type":"header"}',
]


@pytest.mark.parametrize("line", HOSTILE_LINES)
@pytest.mark.parametrize("place", [0, 1, -1])
def test_no_export_however_mangled_makes_the_verifier_fail_or_find_nothing(line, place):
    documents = MemoryDocuments()
    ledger = ledger_on(documents)
    ledger.execute(UID, grant("gift", 100))
    lines = list(ledger.export(UID))
    lines[place] = line

    assert verify_account(lines, KEYS) != []


def test_an_export_with_its_account_twice_or_entries_behind_it_is_not_whole():
    ledger = ledger_on(MemoryDocuments())
    ledger.execute(UID, grant("gift", 100))
    header, entry, account = ledger.export(UID)

    assert verify_account([header, entry, account], KEYS) == []
    assert verify_account([header, account, entry], KEYS) != []
    assert verify_account([header, entry, entry, account], KEYS) != []
    assert verify_account([header, header, entry, account], KEYS) != []
    assert verify_account([header, account], KEYS) != []


def test_another_user_s_records_fit_nowhere_here():
    """Sealed, marked and signed by us, and put where they do not belong."""
    documents = MemoryDocuments()
    ledger = ledger_on(documents)
    other = type(UID)("eve")
    for uid, amount in ((UID, 1), (other, 1_000)):
        ledger.execute(uid, grant("gift", amount, operation="grant"))
    theirs = documents.get(state_path(other))
    operation = documents.get(operation_path(other, OperationId("grant")))
    assert theirs is not None
    assert operation is not None

    documents.commit([Put(operation_path(UID, OperationId("stolen")), operation.data)])
    with pytest.raises(IntegrityFailed) as replayed:
        ledger_on(documents).execute(UID, charge(1, operation="stolen"))
    documents.commit([Put(state_path(UID), theirs.data)])
    with pytest.raises(IntegrityFailed) as swapped:
        ledger_on(documents).balance(UID)

    assert (replayed.value.params["rule"], swapped.value.params["rule"]) == ("operation_seal", "seal")


def test_an_older_state_put_back_spends_nothing_twice():
    """The seal is right, and the next entry is there already."""
    documents = MemoryDocuments()
    ledger = ledger_on(documents)
    ledger.execute(UID, grant("gift", 100))
    old = documents.get_all([state_path(UID), account_path(UID)])
    ledger.execute(UID, charge(100))

    documents.commit([Put(each.path, each.data) for each in old if each is not None])
    with pytest.raises(IntegrityFailed) as failure:
        ledger_on(documents).execute(UID, charge(100))

    assert failure.value.params["rule"] == "entry_above_head"
    assert {finding.rule for finding in ledger.verify(UID)} == {"sequence"}


def test_a_planted_operation_is_no_free_lunch():
    """Whoever can write documents and has no key cannot make us say that something was done."""
    documents = MemoryDocuments()
    ledger = ledger_on(documents)
    ledger.execute(UID, grant("gift", 100))
    state = orjson.dumps({"fingerprint": "f", "nonce": "n", "result": {"captured": 0}, "seq": 1}).decode()
    for seal in ("", ":", "test-1:", "test-1:AAAA", "test-1"):
        path = operation_path(UID, OperationId(f"planted{len(seal)}"))
        documents.commit([Create(path, {"schema": 1, "state": state, "seal": seal})])

        with pytest.raises((IntegrityFailed, UnknownKey)):
            ledger_on(documents).execute(UID, charge(1, operation=path.rpartition("/")[2]))


def test_a_hold_s_end_is_not_undone_by_taking_its_record_away():
    documents = MemoryDocuments()
    ledger = ledger_on(documents)
    ledger.execute(UID, grant("gift", 100))
    ledger.execute(UID, hold("h", 50, lifetime=MINUTE))
    ledger.execute(UID, capture("h", 50))
    documents.commit([Put(f"{account_path(UID)}/holds/h", {"schema": 1})])

    with pytest.raises(IntegrityFailed):
        ledger_on(documents).hold(UID, HoldId("h"))
