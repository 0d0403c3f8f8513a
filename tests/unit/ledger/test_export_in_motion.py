"""An export shows an account as of one entry, while writers move the lots that it reads: no false alarm."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from shared.kernel.documents import Document, Query, StoreUnavailable
from shared.ledger.export import CATCH_UPS_MAX
from shared.ledger.verify.exports import verify_account
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support import books as ask
from tests.support.ledgers import KEYS, UID, ledger_on

LOTS = 40
"""More lots than an account's state has, so that some stand in the rest."""
WRITERS = 8
EXPORTS = 3


class Interrupted(MemoryDocuments):
    """Store that lets somebody act behind each reading of the archived lots, `times` times."""

    def __init__(self) -> None:
        super().__init__()
        self.act: Callable[[], object] = lambda: None
        self.times = 0
        self._is_acting = False

    def query(self, query: Query) -> list[Document]:
        found = super().query(query)
        if query.collection.endswith("/lots") and not query.where:
            self._interrupt()
        return found

    def get_all(self, paths: Sequence[str], **more: Any) -> list[Document | None]:
        found = super().get_all(paths, **more)
        if any("/lots/" in path for path in paths):
            self._interrupt()
        return found

    def _interrupt(self) -> None:
        if self.times and not self._is_acting:
            self.times -= 1
            self._is_acting = True
            self.act()
            self._is_acting = False


def rich(documents: MemoryDocuments) -> None:
    """An account with spent lots, and lots in the rest."""
    ledger = ledger_on(documents, ManualClock())
    for number in range(LOTS):
        ledger.execute(UID, ask.grant(f"lot{number:02}", 10, operation=f"g{number}"))
    ledger.execute(UID, ask.charge(25, operation="c"))


def types(lines: list[str]) -> dict[str, int]:
    told = [orjson.loads(line)["type"] for line in lines]
    return {kind: told.count(kind) for kind in ("entry", "lot", "hold", "account")}


def export_with(act: Callable[[Any], object], times: int = 1) -> tuple[dict[str, int], list[Any]]:
    """Export the account while somebody acts, and verify the export."""
    documents = Interrupted()
    rich(documents)
    ledger = ledger_on(documents, ManualClock())
    other = ledger_on(documents, ManualClock())
    documents.act, documents.times = lambda: act(other), times
    lines = list(ledger.export(UID))
    findings = [(each.seq, each.rule, each.detail) for each in _verified(lines)]
    return types(lines), findings


def _verified(lines: list[str]) -> list[Any]:
    return verify_account(lines, KEYS, now=ManualClock().now())


def test_a_charge_of_a_lot_in_the_state_is_left_out():
    counted, findings = export_with(lambda ledger: ledger.execute(UID, ask.charge(3)))

    assert (counted["entry"], findings) == (LOTS + 1, [])


def test_a_lot_that_a_charge_empties_meanwhile_has_no_line():
    counted, findings = export_with(lambda ledger: ledger.execute(UID, ask.charge(40)))
    alone, _ = export_with(lambda ledger: None)

    assert findings == []
    assert counted["lot"] == alone["lot"]


def test_a_lot_that_is_granted_and_spent_meanwhile_has_no_line():
    def act(ledger: Any) -> None:
        ledger.execute(UID, ask.grant("new", 5, operation="new", priority=1))
        ledger.execute(UID, ask.charge(5))

    counted, findings = export_with(act)

    assert (counted["entry"], findings) == (LOTS + 1, [])


@pytest.mark.parametrize("amount", [300, 370])
def test_the_export_follows_an_entry_that_moves_archived_lots(amount):
    """Lots return from the rest, and some of them leave again with another value."""
    counted, findings = export_with(lambda ledger: ledger.execute(UID, ask.charge(amount)))

    assert (counted["entry"], findings) == (LOTS + 2, [])


def test_a_reversal_of_a_spent_lot_is_followed():
    counted, findings = export_with(lambda ledger: ledger.execute(UID, ask.reverse("lot00", 4)))

    assert (counted["entry"], findings) == (LOTS + 2, [])


def test_an_export_follows_again_and_again():
    targets = iter(range(1, 10))

    counted, findings = export_with(lambda ledger: ledger.execute(UID, ask.reverse("lot00", next(targets))), times=6)

    assert (counted["entry"], findings) == (LOTS + 7, [])


def test_an_export_that_never_catches_up_says_so():
    documents = Interrupted()
    rich(documents)
    ledger = ledger_on(documents, ManualClock())
    ledger.execute(UID, ask.charge(300))
    numbers = iter(range(2 * CATCH_UPS_MAX))

    def act() -> None:
        lot, taken = divmod(next(numbers), 10)
        ledger.execute(UID, ask.reverse(f"lot{lot:02}", taken + 1))

    documents.act, documents.times = act, 2 * CATCH_UPS_MAX

    with pytest.raises(StoreUnavailable):
        list(ledger.export(UID))


def test_exports_beside_eight_writers_give_no_false_alarm():
    """Goal: no export of an account in motion has a finding. Method: eight writers beside one that exports."""
    documents = MemoryDocuments()
    rich(documents)
    clock = ManualClock()
    is_over, failures = threading.Event(), list[BaseException]()

    def write(number: int) -> None:
        ledger, turn = ledger_on(documents, clock), 0
        try:
            while not is_over.is_set():
                turn += 1
                for command in _commands(f"w{number}_{turn}"):
                    ledger.execute(UID, command)
        except BaseException as error:  # noqa: BLE001  told by the test
            failures.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        counts = []
        for _ in range(EXPORTS):
            lines = list(ledger_on(documents, clock).export(UID))
            assert _verified(lines) == []
            counts.append(types(lines)["entry"])
    finally:
        is_over.set()
        for writer in writers:
            writer.join()

    assert failures == []
    assert counts[-1] > counts[0] + EXPORTS, "the writers wrote"


def _commands(name: str) -> list[Any]:
    return [
        ask.grant(f"{name}_a", 12, operation=f"{name}_1"),
        ask.hold(f"{name}_h", 5, operation=f"{name}_2"),
        ask.capture(f"{name}_h", 4, operation=f"{name}_3"),
        ask.charge(9, operation=f"{name}_4"),
        ask.reverse(f"{name}_a", 2, operation=f"{name}_5"),
        ask.restore(f"{name}_a", 0, operation=f"{name}_6"),
        ask.adjust(3, operation=f"{name}_7"),
    ]
