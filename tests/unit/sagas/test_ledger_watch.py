import pytest

from shared.kernel.clock import HOUR
from shared.kernel.documents import Delete, Patch, Put
from shared.kernel.ids import Uid, operation_id
from shared.ledger.account_documents import account_path
from shared.ledger.errors import AccountFrozen
from shared.ledger.relay import CREDIT_EVENTS
from shared.ledger.store import entry_path, operation_path
from shared.platform.memory.alerts import Alert
from shared.sagas.accounts.ledger_watch import BREAKER_PATH, FREEZES_PER_HOUR_MAX, LedgerWatch
from tests.support.ledgers import UID, World, charge, grant


@pytest.fixture
def world() -> World:
    world = World()
    world.ledger.execute(UID, grant("g", 100))
    return world


def watch_of(world: World) -> LedgerWatch:
    return LedgerWatch(world.documents, world.ledger, world.relay, world.alerts, world.clock)


def test_a_new_entry_that_is_sound_is_relayed(world):
    watch_of(world).relay(UID)

    assert [message.data["seq"] for message in world.publisher.on(CREDIT_EVENTS)] == [1]
    assert world.alerts.raised == []


def test_a_changed_or_deleted_entry_freezes_the_account_and_tells_operators(world):
    watch_of(world).entry_changed(UID, 1)

    assert world.alerts.raised == [
        Alert("ledger_tampered", {"uid": UID, "seq": 1, "rule": "entry_changed", "is_frozen": True})
    ]
    with pytest.raises(AccountFrozen):
        world.ledger.execute(UID, charge("c", 1))


def test_a_forged_entry_is_found_by_its_own_signature(world):
    forged = dict(world.documents.get(entry_path(UID, 1)).data)
    world.documents.commit([Put(entry_path(UID, 2), forged)])

    watch_of(world).relay(UID)

    assert [(alert.fields["seq"], alert.fields["rule"]) for alert in world.alerts.raised][-1] == (2, "identity")
    assert world.publisher.on(CREDIT_EVENTS) == []


@pytest.mark.parametrize(("field", "rule"), [("hash", "hash"), ("signature", "signature"), ("kind", "kind")])
def test_each_part_of_a_forged_entry_is_checked(world, field, rule):
    other = "A" * 88 if field == "signature" else "charge"
    world.documents.commit([Patch(entry_path(UID, 1), {field: other})])

    watch_of(world).relay(UID)

    assert world.alerts.raised[-1].fields["rule"] == rule
    assert world.publisher.on(CREDIT_EVENTS) == []


def test_the_same_alarm_twice_freezes_once(world):
    watch = watch_of(world)
    watch.found(UID, 1, "entry_changed")
    watch.found(UID, 1, "entry_changed")

    page = world.ledger.history(UID, before=None, limit=9, kinds=frozenset({"status"}))
    assert [entry.kind for entry in page.items] == ["status"]


def test_account_that_the_relay_finds_broken_again_uses_up_no_freezes(world):
    world.documents.commit([Patch(entry_path(UID, 1), {"kind": "charge"})])
    watch = watch_of(world)

    for _ in range(FREEZES_PER_HOUR_MAX + 1):
        watch.relay(UID)

    assert {alert.event for alert in world.alerts.raised} == {"ledger_tampered"}
    assert all(alert.fields["is_frozen"] for alert in world.alerts.raised)


def test_accounts_that_cannot_be_frozen_use_up_no_freezes(world):
    watch = watch_of(world)
    for number in range(FREEZES_PER_HOUR_MAX + 1):
        uid = Uid(f"user-{number}")
        world.ledger.execute(uid, grant("g", 1))
        world.documents.commit([Patch(account_path(uid), {"available": 10**12})])
        watch.found(uid, 1, "entry_changed")

    watch.found(Uid("ben"), 1, "entry_changed")

    assert world.ledger.balance(Uid("ben")).status == "frozen"


@pytest.mark.parametrize("broken", [{}, {"hour": "?"}, {"hour": None, "count": "x", "uids": 5}, {"uids": [1, None]}])
def test_breaker_of_a_stranger_keeps_nobody_from_being_frozen(world, broken):
    hour = world.clock.now() // HOUR
    world.documents.commit([Put(BREAKER_PATH, {"hour": hour, **broken})])

    watch_of(world).found(UID, 1, "entry_changed")

    assert world.alerts.raised[-1].fields["is_frozen"] is True


@pytest.mark.parametrize("rule", ["usage", "relay_position", "marker", "note"])
def test_broken_document_that_follows_from_the_journal_freezes_nobody(world, rule):
    watch_of(world).found(UID, 0, rule)

    assert world.alerts.raised == [Alert("ledger_tampered", {"uid": UID, "seq": 0, "rule": rule, "is_frozen": False})]
    assert world.ledger.balance(UID).status == "open"


def test_forged_record_of_a_freeze_is_not_taken_for_the_freeze(world):
    operation = operation_id("watch", UID, "1", "entry_changed")
    world.documents.commit([Put(operation_path(UID, operation), {"state": "{}", "seal": "test-1:AAAA"})])

    watch_of(world).found(UID, 1, "entry_changed")

    assert world.alerts.raised[-1].fields["is_frozen"] is False


def test_count_of_freezes_by_an_earlier_release_is_kept(world):
    hour = world.clock.now() // HOUR
    world.documents.commit([Put(BREAKER_PATH, {"hour": hour, "count": FREEZES_PER_HOUR_MAX})])

    watch_of(world).found(UID, 1, "entry_changed")

    assert world.ledger.balance(UID).status == "open"


def test_mass_freezing_is_stopped_by_a_breaker_for_the_hour(world):
    watch = watch_of(world)
    for number in range(FREEZES_PER_HOUR_MAX):
        watch.found(Uid(f"user-{number}"), 1, "entry_changed")

    watch.found(UID, 1, "entry_changed")

    assert [alert.event for alert in world.alerts.raised[-2:]] == ["freeze_breaker_open", "ledger_tampered"]
    assert world.alerts.raised[-1].fields["is_frozen"] is False
    assert world.ledger.balance(UID).status == "open"

    world.clock.advance(HOUR)
    watch.found(UID, 1, "entry_changed")
    assert world.ledger.balance(UID).status == "frozen"


def test_an_account_too_broken_to_freeze_is_still_told(world):
    world.documents.commit([Patch(account_path(UID), {"available": 10**12}), Delete(entry_path(UID, 1))])

    watch_of(world).entry_changed(UID, 1)

    assert world.alerts.raised[-1] == Alert(
        "ledger_tampered", {"uid": UID, "seq": 1, "rule": "entry_changed", "is_frozen": False}
    )
