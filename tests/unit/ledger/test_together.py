"""Commands that leave no record and a caller's own documents are one commit: all of it is done once, or nothing."""

import random
from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.documents import Create, Patch, PreconditionFailed
from shared.kernel.errors import DomainError
from shared.kernel.ids import OperationId
from shared.ledger.commands import Close
from shared.ledger.errors import AccountClosed, LotExists
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.faults import FaultyDocuments
from tests.support.ledger_faults import COMMIT_FAULTS, Weather
from tests.support.ledgers import UID, charge, grant, ledger_on
from tests.unit.ledger.test_committer import Distant, at_once, instance, kinds

PAID, GIFT = 100, 10


def lots(name: str):
    """Grants of a purchase: the paid lot and the gift."""
    return [
        replace(grant(f"{name}:{what}", amount), record="none") for what, amount in (("paid", PAID), ("gift", GIFT))
    ]


def money(name: str):
    """The document that keeps a purchase from being credited twice."""
    return [Create(f"effects/{name}", {"by": name})]


def test_grants_and_documents_are_one_commit_without_records():
    documents = FaultyDocuments(MemoryDocuments())
    ledger = ledger_on(documents, ManualClock())

    versions = ledger.execute_together(UID, lots("a"), money("a"))

    assert documents.commits == 1
    found = documents.get("effects/a")
    assert found is not None
    assert versions == {"effects/a": found.version}
    assert ledger.balance(UID).available == PAID + GIFT
    assert [entry.kind for entry in ledger.entries(UID, 1, 9)] == ["grant", "grant"]
    assert not any(ledger.is_done(UID, each.operation) for each in lots("a"))
    assert ledger.verify(UID) == []


def test_versions_are_those_of_the_changed_documents_when_others_share_the_commit():
    documents = MemoryDocuments()
    documents.commit([Create("payments/a", {"n": 0})])
    ledger = ledger_on(documents, ManualClock())

    versions = ledger.execute_together(UID, lots("a"), [*money("a"), Patch("payments/a", {"n": 1})])

    documents.commit([Patch("payments/a", {"n": 2}, versions["payments/a"])])
    found = documents.get("payments/a")
    assert found is not None
    assert found.data == {"n": 2}


def test_nothing_is_granted_when_the_money_was_used_before():
    documents = MemoryDocuments()
    ledger = ledger_on(documents, ManualClock())
    ledger.execute_together(UID, lots("a"), money("a"))

    with pytest.raises(PreconditionFailed):
        ledger.execute_together(UID, lots("b"), money("a"))

    assert ledger.balance(UID).available == PAID + GIFT
    assert ledger.verify(UID) == []


def test_nothing_is_written_when_the_second_lot_exists():
    documents = MemoryDocuments()
    ledger = ledger_on(documents, ManualClock())
    ledger.execute(UID, grant("a:gift", GIFT))

    with pytest.raises(LotExists):
        ledger.execute_together(UID, lots("a"), money("a"))

    assert (ledger.balance(UID).available, documents.get("effects/a")) == (GIFT, None)


def test_lots_are_granted_once_when_the_money_document_is_lost():
    documents = MemoryDocuments()
    ledger = ledger_on(documents, ManualClock())
    ledger.execute_together(UID, lots("a"), money("a"))

    with pytest.raises(LotExists):
        ledger_on(documents, ManualClock()).execute_together(UID, lots("a"), money("lost"))

    assert ledger.balance(UID).available == PAID + GIFT


def test_closed_account_gets_nothing():
    documents = MemoryDocuments()
    ledger = ledger_on(documents, ManualClock())
    ledger.execute(UID, Close(operation=OperationId("bye")))

    with pytest.raises(AccountClosed):
        ledger.execute_together(UID, lots("a"), money("a"))

    assert documents.get("effects/a") is None


def test_refused_purchase_refuses_no_other_command_of_the_batch():
    documents = Distant()
    documents.commit(money("taken"))
    ledger = instance(documents)
    ledger.execute(UID, grant("g", 1_000))
    calls: list[Any] = [lambda n=n: ledger.execute(UID, charge(f"plain{n}", 1)) for n in range(12)]
    calls += [lambda n=n: ledger.execute_together(UID, lots(f"b{n}"), money(f"b{n}")) for n in range(4)]
    calls += [lambda n=n: ledger.execute_together(UID, lots(f"t{n}"), money("taken")) for n in range(3)]

    outcomes = at_once(calls)

    assert kinds(outcomes[:16]) == {"Outcome": 12, "dict": 4}
    assert kinds(outcomes[16:]) == {"PreconditionFailed": 3}
    assert ledger.balance(UID).available == 1_000 - 12 + 4 * (PAID + GIFT)
    assert ledger.verify(UID) == []


def test_same_purchase_at_once_is_granted_once():
    documents = Distant()
    ledger = instance(documents)

    outcomes = at_once([lambda: ledger.execute_together(UID, lots("a"), money("a")) for _ in range(6)])

    assert set(kinds(outcomes)) <= {"dict", "PreconditionFailed", "LotExists"}
    assert kinds(outcomes)["dict"] >= 1
    assert ledger.balance(UID).available == PAID + GIFT


@pytest.mark.parametrize("seed", range(100))
def test_purchases_are_whole_or_nothing_in_any_weather(seed):
    dice, inner = random.Random(seed), MemoryDocuments()
    weather = Weather(
        inner,
        lambda call: dice.choice(COMMIT_FAULTS) if call.kind == "commit" and dice.random() < 0.4 else None,
        delay=dice.randrange(1, 6),
    )
    instances = [ledger_on(weather, ManualClock()) for _ in range(2)]
    told: dict[str, object] = {}
    for number in range(8):
        name = f"p{number}"
        if dice.random() < 0.2:
            inner.commit([Create(f"effects/{name}", {"by": "another"})])
        try:
            told[name] = instances[number % 2].execute_together(UID, lots(name), money(name))
        except DomainError as error:
            told[name] = error
    for _ in range(20):
        weather.get("nothing/here")

    ledger = ledger_on(inner, ManualClock())
    done = {name for name in told if (found := inner.get(f"effects/{name}")) and found.data["by"] == name}
    assert ledger.verify(UID) == []
    assert ledger.balance(UID).available == len(done) * (PAID + GIFT)
    for name, outcome in told.items():
        assert not isinstance(outcome, PreconditionFailed) or name not in done
        assert isinstance(outcome, DomainError) or name in done
