"""What is written in the commit of a command: there with it or not at all, and nobody else's trouble."""

import random

import pytest

from shared.kernel.documents import Create, OutcomeUnknown, Patch, PreconditionFailed
from shared.kernel.errors import DomainError
from shared.ledger.errors import InsufficientCredits
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.books import capture, hold
from tests.support.faults import FaultyDocuments
from tests.support.ledger_faults import COMMIT_FAULTS, Weather
from tests.support.ledgers import UID, charge, grant, ledger_on
from tests.unit.ledger.test_committer import Distant, at_once, instance, kinds

IN_THE_WAY = {"available": -1}


def stored(documents, name):
    """What the document of this name says, if there is one."""
    found = documents.get(f"receipts/{name}")
    return found and found.data


def receipt(name):
    """Makes a document of what a command did."""
    return lambda receipt: [Create(f"receipts/{name}", {"available": receipt.after.available})]


def test_it_is_there_with_what_the_command_did():
    documents = FaultyDocuments(MemoryDocuments())
    ledger = ledger_on(documents, ManualClock())
    ledger.execute(UID, grant("g", 100))
    ledger.execute(UID, hold("h", 50))

    ledger.execute(UID, capture("h", 30), receipt("r"))

    assert stored(documents, "r") == {"available": 70}
    assert documents.commits == 3
    assert ledger.verify(UID) == []


def test_a_refused_command_writes_nothing_beside():
    documents = MemoryDocuments()
    ledger = ledger_on(documents, ManualClock())

    with pytest.raises(InsufficientCredits):
        ledger.execute(UID, charge("c", 1), receipt("r"))

    assert documents.get("receipts/r") is None


def test_the_same_command_again_is_answered_and_writes_nothing_again():
    documents = MemoryDocuments()
    ledger = ledger_on(documents, ManualClock())
    ledger.execute(UID, grant("g", 100))
    first = ledger.execute(UID, charge("c", 1), receipt("r"))

    again = ledger_on(documents, ManualClock()).execute(UID, charge("c", 1), receipt("other"))

    assert (again.receipt, again.is_replay) == (first.receipt, True)
    assert documents.get("receipts/other") is None


def test_who_cannot_have_it_written_is_told_and_is_not_charged():
    documents = MemoryDocuments()
    documents.commit([Create("receipts/r", {"available": 0})])
    ledger = ledger_on(documents, ManualClock())
    ledger.execute(UID, grant("g", 100))

    with pytest.raises(PreconditionFailed):
        ledger.execute(UID, charge("c", 1), receipt("r"))

    assert ledger.balance(UID).available == 100
    assert ledger.execute(UID, charge("d", 2), receipt("s")).balance.available == 98
    assert ledger.verify(UID) == []


def test_of_many_at_once_only_those_are_refused_whose_own_document_is_in_the_way():
    documents = Distant()
    documents.commit([Create(f"receipts/taken{n}", {"available": 0}) for n in range(4)])
    ledger = instance(documents)
    ledger.execute(UID, grant("g", 1_000))
    calls = [lambda n=n: ledger.execute(UID, charge(f"plain{n}", 1)) for n in range(16)]
    calls += [lambda n=n: ledger.execute(UID, charge(f"kept{n}", 1), receipt(f"kept{n}")) for n in range(16)]
    calls += [lambda n=n: ledger.execute(UID, charge(f"taken{n}", 1), receipt(f"taken{n}")) for n in range(4)]

    outcomes = at_once(calls)

    assert kinds(outcomes[:32]) == {"Outcome": 32}
    assert kinds(outcomes[32:]) == {"PreconditionFailed": 4}
    assert ledger.balance(UID).available == 1_000 - 32
    assert all(documents.get(f"receipts/kept{n}") for n in range(16))
    assert ledger.verify(UID) == []


def test_two_that_write_the_same_document_have_a_commit_each():
    documents = Distant()
    documents.commit([Create("receipts/shared", {"by": "nobody"})])
    ledger = instance(documents)
    ledger.execute(UID, grant("g", 100))

    def by(name):
        return lambda: ledger.execute(UID, charge(name, 1), lambda _: [Patch("receipts/shared", {"by": name})])

    outcomes = at_once([by(f"c{n}") for n in range(8)])

    assert kinds(outcomes) == {"Outcome": 8}
    assert stored(documents, "shared") != {"by": "nobody"}
    assert ledger.balance(UID).available == 92


def test_what_may_still_happen_is_not_called_refused():
    inner = MemoryDocuments()

    class Unclear(FaultyDocuments):
        """The second commit is unclear, and by then somebody else has written the document."""

        def commit(self, writes, **options):
            if self.commits == 1:
                inner.commit([Create("receipts/r", {"available": 0})])
            return super().commit(writes, **options)

    ledger = ledger_on(Unclear(inner, at=2, when="before", error=OutcomeUnknown()), ManualClock())
    ledger.execute(UID, grant("g", 100))

    with pytest.raises(OutcomeUnknown):
        ledger.execute(UID, charge("c", 1), receipt("r"))


@pytest.mark.parametrize("seed", range(200))
def test_in_any_weather_it_is_there_just_if_the_command_was_done(seed):
    dice, inner = random.Random(seed), MemoryDocuments()
    ledger_on(inner, ManualClock()).execute(UID, grant("g", 1_000))
    weather = Weather(
        inner,
        lambda call: dice.choice(COMMIT_FAULTS) if call.kind == "commit" and dice.random() < 0.4 else None,
        delay=dice.randrange(1, 6),
    )
    instances = [ledger_on(weather, ManualClock()) for _ in range(2)]
    told: dict[str, object] = {}
    for number in range(12):
        name = f"c{number}"
        if dice.random() < 0.2:
            inner.commit([Create(f"receipts/{name}", IN_THE_WAY)])
        try:
            told[name] = instances[number % 2].execute(UID, charge(name, 1), receipt(name))
        except DomainError as error:
            told[name] = error
    for _ in range(20):
        weather.get("nothing/here")

    ledger = ledger_on(inner, ManualClock())
    assert ledger.verify(UID) == []
    done = {name for name in told if stored(inner, name) not in (None, IN_THE_WAY)}
    assert ledger.balance(UID).available == 1_000 - len(done)
    for name, outcome in told.items():
        assert not isinstance(outcome, PreconditionFailed) or name not in done
        assert isinstance(outcome, DomainError) or name in done
