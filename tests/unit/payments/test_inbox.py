"""The inbox: each event once, nothing personal, what is for others parked, what fails for long handed to a person."""

import pytest

from shared.kernel.clock import HOUR, MINUTE, to_datetime
from shared.kernel.documents import OutcomeUnknown, StoreUnavailable
from shared.payments.inbox import (
    ATTEMPTS_MAX,
    DUE_SHARDS,
    KEPT,
    Inbox,
    ended,
    notice_in,
    path_of,
    postponed,
    revived,
)
from shared.payments.ports import Notice, ProviderName
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from tests.support.indexes import stored
from tests.support.ledger_faults import Weather, once

MODES: dict[ProviderName, bool] = {"stripe": False, "paypal": False}


def notice(event_id="evt_1", **changes):
    given = {
        "provider": "stripe",
        "id": event_id,
        "type": "payment_intent.succeeded",
        "at": 1_790_000_000_000,
        "is_live": False,
        "payment": "pay_1",
        "refs": {"intent": "pi_1", "charge": "ch_1"},
    }
    return Notice(**{**given, **changes})


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def alerts():
    return MemoryAlerts()


@pytest.fixture
def documents():
    return stored()


@pytest.fixture
def inbox(documents, clock, alerts):
    return Inbox(documents, clock, alerts, MODES)


def due(inbox):
    return {document.id for document in inbox.due(500)}


def test_a_notice_is_kept_as_it_is_and_read_back(inbox, documents):
    assert inbox.store(notice())

    assert notice_in(documents.get("inbox/stripe:evt_1").data) == notice()


def test_an_event_is_stored_once_however_often_it_comes(inbox, documents, clock):
    inbox.store(notice())
    before = documents.get(path_of(notice()))
    clock.advance(HOUR)

    assert not inbox.store(notice())

    assert documents.get(path_of(notice())) == before


def test_the_same_id_of_two_providers_is_two_events(inbox):
    assert [inbox.store(notice(provider=name)) for name in ("stripe", "paypal")] == [True, True]


def test_a_sweep_looks_after_it_when_its_trigger_had_its_time(inbox, clock):
    inbox.store(notice())
    assert due(inbox) == set()

    clock.advance(MINUTE)

    assert due(inbox) == {"stripe:evt_1"}


@pytest.mark.parametrize(("changes", "reason"), [({"is_live": True}, "mode"), ({"account": "acct_other"}, "account")])
def test_what_is_for_another_mode_or_account_is_parked_with_an_alert(inbox, documents, clock, alerts, changes, reason):
    inbox.store(notice(**changes))
    clock.advance(HOUR)

    data = documents.get("inbox/stripe:evt_1").data
    assert (data["status"], data["reason"], data["delete_at"]) == ("parked", reason, None)
    assert [(alert.event, alert.fields["reason"]) for alert in alerts.raised] == [("notice_parked", reason)]
    assert due(inbox) == set()


def test_live_money_is_what_a_live_key_expects(documents, clock, alerts):
    inbox = Inbox(documents, clock, alerts, {"stripe": True})

    inbox.store(notice(is_live=True))

    assert documents.get("inbox/stripe:evt_1").data["status"] == "new"
    assert alerts.raised == []


@pytest.mark.parametrize("fault", ["unavailable", "lost", "applied", "late"])
def test_a_store_that_fails_is_said_so_and_the_next_call_stores_once(inbox, documents, clock, alerts, fault):
    weather = Weather(documents, once("commit", 1, fault))
    shaky = Inbox(weather, clock, alerts, MODES)
    with pytest.raises((OutcomeUnknown, StoreUnavailable)):
        shaky.store(notice())

    shaky.store(notice())
    weather.settle()

    assert notice_in(documents.get("inbox/stripe:evt_1").data) == notice()
    clock.advance(HOUR)
    assert due(inbox) == {"stripe:evt_1"}


def test_a_parked_event_whose_storing_failed_is_not_kept_from_operators(documents, clock, alerts):
    shaky = Inbox(Weather(documents, once("commit", 1, "applied")), clock, alerts, MODES)
    with pytest.raises(OutcomeUnknown):
        shaky.store(notice(is_live=True))

    assert [alert.event for alert in alerts.raised] == ["notice_parked"]


def test_what_is_dealt_with_is_kept_for_a_while_and_what_waits_for_a_person_for_ever(clock):
    now = clock.now()

    kept = {status: ended(status, now)["delete_at"] for status in ("done", "ignored", "parked", "dead")}

    assert kept == {"done": to_datetime(now + KEPT), "ignored": to_datetime(now + KEPT), "parked": None, "dead": None}


def test_what_fails_comes_again_with_growing_pauses_until_a_person_has_to_look(inbox, documents, clock):
    inbox.store(notice())
    data, pauses = dict(documents.get("inbox/stripe:evt_1").data), []

    while data["status"] == "new":
        data |= postponed(data, clock.now(), "provider_unavailable")
        pauses.append(data["due_at"] and (data["due_at"] - to_datetime(clock.now())).total_seconds())

    assert pauses[:4] == [15, 30, 60, 120]
    assert max(pauses[:-1]) == 3_600
    assert (data["status"], data["attempts"], data["reason"]) == ("dead", ATTEMPTS_MAX, "provider_unavailable")
    assert sum(pauses[:-1]) > 24 * 3_600


def test_an_operator_s_replay_begins_as_if_it_had_just_come(inbox, documents, clock):
    inbox.store(notice(is_live=True))
    data = {**documents.get("inbox/stripe:evt_1").data, **revived(clock.now())}

    assert (data["status"], data["attempts"], data["due_at"]) == ("new", 0, to_datetime(clock.now()))
    assert notice_in(data) == notice(is_live=True)


def test_events_are_spread_over_the_shards(inbox, documents):
    for number in range(200):
        inbox.store(notice(f"evt_{number}"))

    shards = [documents.get(f"inbox/stripe:evt_{number}").data["due_shard"] for number in range(200)]
    assert {shards.count(shard) > 5 for shard in range(DUE_SHARDS)} == {True}
