"""One account with 300 entries a second: each is published once, in windows, by triggers alone."""

from functools import partial

import pytest

from shared.kernel.documents import Document
from shared.kernel.ids import Uid
from shared.ledger.markers import RELAY, is_waiting, marker_path
from shared.ledger.relay import CREDIT_EVENTS, LEASE, Relay
from shared.platform.memory.documents import MemoryDocuments
from tests.support.ledgers import UID, charge, grant, ledger_on
from tests.support.timeline import SlowDocuments, SlowPublisher, Timeline

SECONDS = 2
COMMITS_PER_SECOND, ENTRIES_PER_COMMIT = 50, 6
EVENT_MS = 60
MESSAGES_PER_ENTRY_MAX = 1.1
COMMITS_PER_SECOND_MAX = 12
"""Most commits of all relays of the account, in a second."""


class BusyAccount:
    """An account whose commits each start a trigger a little later. `fails`: numbers of triggers that die."""

    def __init__(self, fails: frozenset[int] = frozenset()) -> None:
        self.clock = Timeline()
        self.memory = MemoryDocuments()
        self.slow = SlowDocuments(self.memory, self.clock)
        self.publisher = SlowPublisher(self.clock)
        self.writer = ledger_on(self.memory, self.clock)
        self.relay = Relay(self.slow, ledger_on(self.slow, self.clock), self.publisher, self.clock)
        self.triggers = 0
        self.fails = fails
        self.writer.execute(UID, grant("g", 1_000_000))

    def live(self) -> None:
        for number in range(SECONDS * COMMITS_PER_SECOND):
            self.clock.plan(number * 1000 // COMMITS_PER_SECOND, partial(self.commit, number))
        self.clock.let_all_happen()

    def commit(self, number: int) -> None:
        self.writer.execute_all(UID, [charge(f"{number}-{each}", 1) for each in range(ENTRIES_PER_COMMIT)])
        marker = self.memory.get(marker_path(UID))
        assert marker is not None
        self.clock.plan(EVENT_MS, lambda: self.fire(marker))

    def fire(self, marker: Document) -> None:
        self.triggers += 1
        if self.triggers not in self.fails:
            self.relay.relay(UID, marker)

    @property
    def told(self) -> list[object]:
        return [message.data["seq"] for message in self.publisher.on(CREDIT_EVENTS)]

    @property
    def seq(self) -> int:
        return self.writer.balance(UID).seq

    def is_waiting(self, uid: Uid = UID) -> bool:
        marker = self.memory.get(marker_path(uid))
        return marker is not None and is_waiting(marker.data, RELAY)


def test_busy_account_is_published_once_in_windows_by_triggers_alone():
    account = BusyAccount()

    account.live()

    assert list(dict.fromkeys(account.told)) == list(range(1, account.seq + 1))
    assert len(account.told) <= MESSAGES_PER_ENTRY_MAX * account.seq
    assert account.slow.commits <= COMMITS_PER_SECOND_MAX * SECONDS
    assert not account.is_waiting()


@pytest.mark.parametrize("lost", [{1, 2, 3, 40}, set(range(30, 60))], ids=["some", "half a second"])
def test_lost_triggers_of_a_busy_account_are_made_up_for_by_later_ones(lost):
    account = BusyAccount(frozenset(lost))

    account.live()

    assert list(dict.fromkeys(account.told)) == list(range(1, account.seq + 1))
    assert len(account.told) <= MESSAGES_PER_ENTRY_MAX * account.seq


def test_busy_account_whose_relay_dies_is_followed_after_the_lease():
    account = BusyAccount()
    publish = account.publisher.publish

    def die_once(messages):
        account.publisher.publish = publish  # type: ignore[method-assign]
        raise KeyboardInterrupt

    account.publisher.publish = die_once  # type: ignore[method-assign]
    fire = account.fire

    def survived(marker):
        try:
            fire(marker)
        except KeyboardInterrupt:
            return

    account.fire = survived  # type: ignore[method-assign]

    account.live()

    account.clock.let_pass(LEASE)
    account.relay.relay(UID)
    assert list(dict.fromkeys(account.told)) == list(range(1, account.seq + 1))
    assert len(account.told) <= MESSAGES_PER_ENTRY_MAX * account.seq
    assert not account.is_waiting()
