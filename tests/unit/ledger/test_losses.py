from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.kernel.deadline import Deadline
from shared.kernel.documents import OutcomeUnknown, Patch, Put, Query, StoreUnavailable
from shared.kernel.ids import HoldId, OperationId, Uid, operation_id
from shared.kernel.money import Micro
from shared.ledger.commands import BudgetClaim, CallBound, Capture, Close, PlaceHold
from shared.ledger.losses import (
    ALERT_LIMITS,
    COUNTED_MAX,
    LOSS_WINDOW,
    OTHERS,
    PAGE,
    ROWS_MAX,
    SECOND_LIMITS,
    Loss,
    Losses,
    LossSum,
    LossWindow,
    Row,
    window_path,
)
from shared.platform.memory.alerts import Alert
from tests.support.faults import Crash, FaultyDocuments
from tests.support.ledgers import UID, World, grant

KEY = "key:k1"


@pytest.fixture
def world() -> World:
    world = World()
    world.ledger.execute(UID, grant("g", 100))
    return world


def bear(losses: Losses, name: str, amount: int = 5, *, uid: Uid = UID, **more) -> None:
    told = {"cause": "provider_failed", "model": "m1", **more}
    losses.bear(uid, operation=operation_id("call", name), amount=amount, **told)


def place(world: World, name: str, *, model: str | None = "m1") -> None:
    command = PlaceHold(
        operation=operation_id("hold", name),
        amount=Micro(10),
        hold=HoldId(name),
        purpose="chat",
        lifetime=1_000,
        principal=KEY,
        tags=() if model is None else (("model", model),),
    )
    world.ledger.execute(UID, command)


def capture(world: World, name: str, amount: int, *, is_final: bool = True) -> None:
    operation = operation_id("capture", name, str(amount))
    command = Capture(operation=operation, hold=HoldId(name), amount=Micro(amount), is_final=is_final)
    world.ledger.execute(UID, command)


def rows(world: World) -> dict[Row, LossSum]:
    return dict(world.losses.window(UID).rows)


def alerts(world: World, event: str) -> list[Alert]:
    return [alert for alert in world.alerts.raised if alert.event == event]


def test_an_absorbed_amount_is_counted_and_alerted_once(world):
    place(world, "h")
    capture(world, "h", 130)

    world.relay.relay(UID)
    world.losses.see(UID, world.ledger.entries(UID, 1, 10))

    assert rows(world) == {Row(KEY, "m1", "absorbed"): LossSum(1, 30)}
    [alert] = alerts(world, "credits_absorbed")
    assert {name: alert.fields[name] for name in ("uid", "principal", "model", "cause", "amount")} == {
        "uid": UID,
        "principal": KEY,
        "model": "m1",
        "cause": "absorbed",
        "amount": 30,
    }


def test_what_a_part_of_a_hold_absorbs_is_counted(world):
    place(world, "h")
    capture(world, "h", 130, is_final=False)
    capture(world, "h", 7)

    world.relay.relay(UID)

    assert rows(world) == {Row(KEY, "m1", "absorbed"): LossSum(2, 37)}


def test_a_call_that_was_paid_beyond_its_cap_alerts_and_shows_in_the_history(world):
    command = PlaceHold(
        operation=operation_id("hold", "h"),
        amount=Micro(10),
        hold=HoldId("h"),
        purpose="chat",
        lifetime=1_000,
        principal=KEY,
        call=CallBound(input_held=Micro(5), input_at_most=Micro(15), at_most=Micro(20)),
        budgets=(BudgetClaim(id="cap", limit=Micro(20)),),
    )
    world.ledger.execute(UID, command)
    capture(world, "h", 50)

    world.relay.relay(UID)

    assert [dict(alert.fields) for alert in alerts(world, "bound_not_kept")] == [
        {"uid": UID, "seq": 3, "beyond_cap": 30}
    ]
    assert [entry.beyond_cap for entry in world.ledger.history(UID, before=None, limit=9).items] == [30, None]


def test_a_call_that_costs_us_nothing_writes_no_document(world):
    place(world, "h")
    capture(world, "h", 30)

    world.relay.relay(UID)

    assert [world.documents.query(Query(collection=name, limit=9)) for name in ("losses", "loss_events")] == [[], []]


def test_a_call_that_nobody_captured_counts_as_a_crash(world):
    place(world, "h")
    place(world, "reserved", model=None)
    world.clock.advance(2_000)
    world.ledger.expire_due(UID)

    world.relay.relay(UID)

    assert rows(world) == {Row(KEY, "m1", "crashed"): LossSum(1, 0)}


def test_a_hold_that_leaving_ends_is_no_crash(world):
    place(world, "h")
    world.ledger.execute(UID, Close(operation=OperationId("op_close")))

    world.relay.relay(UID)

    assert rows(world) == {}


def test_a_loss_told_again_counts_once(world):
    for _ in range(3):
        bear(world.losses, "one")
    bear(world.losses, "one", cause="limit_not_kept")
    bear(world.losses, "two")

    assert rows(world) == {
        Row(UID, "m1", "provider_failed"): LossSum(2, 10),
        Row(UID, "m1", "limit_not_kept"): LossSum(1, 5),
    }


def test_losses_are_told_apart_by_key_and_model(world):
    bear(world.losses, "a")
    bear(world.losses, "b", principal=KEY)
    bear(world.losses, "c", principal=KEY, model="m2")

    window = world.losses.window(UID)

    told = {(UID, "m1"), (KEY, "m1"), (KEY, "m2")}
    assert set(window.rows) == {Row(principal, model, "provider_failed") for principal, model in told}
    assert (window.of("provider_failed"), window.of("provider_failed", KEY)) == (LossSum(3, 15), LossSum(2, 10))


def test_a_new_window_begins_at_nothing(world):
    bear(world.losses, "a")
    world.clock.advance(LOSS_WINDOW)
    bear(world.losses, "b", 7)

    assert rows(world) == {Row(UID, "m1", "provider_failed"): LossSum(1, 7)}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_while_recording_counts_the_loss_once(world, when):
    losses = Losses(FaultyDocuments(world.documents, at=1, when=when), world.alerts, world.clock)

    with pytest.raises(Crash):
        bear(losses, "a")
    bear(world.losses, "a")

    assert rows(world) == {Row(UID, "m1", "provider_failed"): LossSum(1, 5)}


def test_the_relay_keeps_its_place_while_losses_cannot_be_recorded(world):
    class Down(Losses):
        def see(self, uid, entries):
            raise StoreUnavailable

    place(world, "h")
    capture(world, "h", 130)
    relay = world.relay
    relay._witnesses = [Down(world.documents, world.alerts, world.clock)]

    with pytest.raises(StoreUnavailable):
        relay.relay(UID)
    world.relay.relay(UID)

    assert rows(world) == {Row(KEY, "m1", "absorbed"): LossSum(1, 30)}


def test_losses_of_many_at_once_are_all_counted(world):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: bear(world.losses, f"call{number}"), range(4)))

    assert rows(world) == {Row(UID, "m1", "provider_failed"): LossSum(4, 20)}


def test_an_unclear_commit_is_looked_up(world):
    class Unclear:
        def __init__(self, inner):
            self.inner, self.failures = inner, 2

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def commit(self, writes, **more):
            self.failures -= 1
            if self.failures == 1:
                raise OutcomeUnknown
            self.inner.commit(writes, **more)
            if self.failures == 0:
                raise OutcomeUnknown
            return []

    bear(Losses(Unclear(world.documents), world.alerts, world.clock), "a")

    assert rows(world) == {Row(UID, "m1", "provider_failed"): LossSum(1, 5)}


def test_passing_each_limit_alerts_once_for_user_and_key(world):
    first, second = ALERT_LIMITS["limit_not_kept"].amount, SECOND_LIMITS["limit_not_kept"].amount
    for number, amount in enumerate((first, 1, second - first - 1, 1, 1)):
        bear(world.losses, str(number), amount, cause="limit_not_kept", principal=KEY)

    told = [alert.fields for alert in alerts(world, "loss_limit_passed")]
    passed = [(fields["principal"], fields["limit"], fields["amount"]) for fields in told]
    assert passed == [(UID, 1, first + 1), (KEY, 1, first + 1), (UID, 2, second + 1), (KEY, 2, second + 1)]


def test_failures_are_charged_once_this_user_is_beyond_the_second_limit(world):
    limit = SECOND_LIMITS["provider_failed"]
    told = []
    for number in range(limit.count + 1):
        bear(world.losses, str(number), 0)
        told.append(world.losses.are_failures_charged(UID))

    assert told == [False] * limit.count + [True]
    assert not world.losses.are_failures_charged(Uid("bob"))
    world.clock.advance(LOSS_WINDOW)
    assert not world.losses.are_failures_charged(UID)


def test_failures_are_charged_once_their_amount_is_beyond_the_limit(world):
    bear(world.losses, "a", SECOND_LIMITS["provider_failed"].amount)
    assert not world.losses.are_failures_charged(UID)

    bear(world.losses, "b", 1)

    assert world.losses.are_failures_charged(UID)


def test_rows_beyond_the_limit_are_added_up():
    window = LossWindow(rows={Row(f"key:{n}", "m1", "absorbed"): LossSum(1, 1) for n in range(ROWS_MAX)})

    for number in range(2):
        window = window.with_loss(_loss(f"key:new{number}"))

    assert len(window.rows) == ROWS_MAX + 1
    assert window.rows[Row(OTHERS, OTHERS, "absorbed")] == LossSum(2, 8)


def test_a_window_that_counted_enough_records_no_more(world):
    bear(world.losses, "a")
    document = world.documents.query(Query(collection="losses", limit=1))[0]
    state = str(document.data["state"]).replace(",1,5]", f",{COUNTED_MAX},5]")
    world.documents.commit([Put(document.path, {**document.data, "state": state})])
    bear(world.losses, "b")

    assert rows(world) == {Row(UID, "m1", "provider_failed"): LossSum(COUNTED_MAX, 5)}


def test_the_report_adds_up_models_over_all_users(world):
    bear(world.losses, "a")
    bear(world.losses, "b", uid=Uid("bob"), principal=KEY)
    bear(world.losses, "c", uid=Uid("bob"), model="m2", cause="limit_not_kept")

    assert world.losses.report().totals == {
        ("m1", "provider_failed"): LossSum(2, 10),
        ("m2", "limit_not_kept"): LossSum(1, 5),
    }


def test_a_report_that_is_cut_short_is_continued_by_the_next(world):
    for number in range(PAGE + 3):
        bear(world.losses, "a", uid=Uid(f"user{number}"))

    first = world.losses.report(deadline=Deadline.within(world.clock, 0))
    second = world.losses.report(first.after)

    counts = [sum(each.count for each in report.totals.values()) for report in (first, second)]
    assert (counts, second.after) == ([PAGE, 3], "")


def test_a_window_that_cannot_be_read_hides_no_other_from_the_report(world):
    bear(world.losses, "a")
    bear(world.losses, "b", uid=Uid("bob"))
    world.documents.commit([Patch(window_path(UID, world.clock.now()), {"state": "{"})])

    report = world.losses.report()

    assert report.totals == {("m1", "provider_failed"): LossSum(1, 5)}


def test_losses_are_erased_with_their_user_alone(world):
    bear(world.losses, "a")
    bear(world.losses, "b", uid=Uid("bob"))

    world.losses.erase(UID)

    assert rows(world) == {}
    left = [world.documents.query(Query(collection=name, limit=9)) for name in ("losses", "loss_events")]
    assert [[document.data["uid"] for document in found] for found in left] == [["bob"], ["bob"]]


def _loss(principal: str) -> Loss:
    return Loss(uid=UID, principal=principal, model="m", cause="absorbed", amount=4, operation="op", at=0)
