"""Money once seen stays seen: what an account owes follows movements, never a status word or an empty list."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.ids import Uid
from shared.kernel.money import Micro
from shared.payments.fiat import Fiat
from shared.payments.lifecycle import OTHER_CURRENCY, plan
from shared.payments.payment import AppliedChanges, Payment, ProviderReport, Terms, seen_in
from shared.payments.payment_documents import from_data, to_data
from shared.payments.ports import Dispute, Refund, Truth
from shared.platform.paypal.reading import truth_of
from shared.platform.stripe.reading import Found
from shared.platform.stripe.reading import truth_of as stripe_truth_of

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases"
PRICE = Fiat(1_000, "USD")
TERMS = Terms(package="p", title="t", price=PRICE, credits=Micro(10**9), bonus=Micro(0), bonus_days=None)


def payment(*, taken=0, seen=None, problem=""):
    return Payment(
        id="pay_1",
        uid=Uid("ann"),
        provider="paypal",
        flow="redirect",
        terms=TERMS,
        fingerprint="",
        created_at=0,
        expires_at=1,
        seen=seen or ProviderReport(stage="paid", paid=PRICE),
        applied=AppliedChanges(is_granted=True, taken=taken),
        problem=problem,
    )


def truth(*, refunds=(), disputes=(), stage="paid", paid: Fiat | None = PRICE, withdrawn="") -> Truth:
    return Truth(
        stage=stage,
        refs={},
        is_live=False,
        payment="pay_1",
        money="C1",
        paid=paid,
        refunds=tuple(refunds),
        disputes=tuple(disputes),
        withdrawn=withdrawn,
    )


def refund(minor, status="succeeded", name="R1", currency="USD"):
    return Refund(id=name, amount=Fiat(minor, currency), status=status)


def dispute(minor, status="lost", name="D1", currency="USD", of=None):
    return Dispute(id=name, amount=Fiat(minor, currency), status=status, refund=of)


def follow(before, told):
    """The payment after everything that `told` asks for was done."""
    for _ in range(4):
        seen = replace(before, seen=seen_in(told, before))
        what = plan(seen, told, is_live=False)
        before = replace(seen, problem=what.problem)
        if what.action != "follow":
            return before
        applied = replace(before.applied, taken=what.args["taken"], aside=what.args["aside"])
        before = replace(before, applied=applied)
    raise AssertionError("a truth is followed in few steps")


def applied(found):
    return found.applied.taken, found.applied.aside


def test_reversal_listed_as_a_refund_is_taken_once():
    assert applied(follow(payment(), truth(refunds=[refund(400)], disputes=[dispute(400, of="R1")]))) == (400, 0)


@pytest.mark.parametrize("told", [truth(), truth(stage="pending", paid=None), truth(stage="failed", paid=None)])
def test_lost_dispute_stays_taken_when_no_longer_listed(told):
    lost = follow(payment(), truth(disputes=[dispute(1_000)]))

    assert applied(follow(lost, told)) == (1_000, 0)


@pytest.mark.parametrize("told", [truth(), truth(stage="pending", paid=None), truth(disputes=[dispute(1_000)])])
def test_payment_stored_before_movements_keeps_what_was_taken(told):
    assert applied(follow(payment(taken=1_000), told)) == (1_000, 0)


def test_capture_that_turns_pending_after_its_grant_is_set_aside():
    assert applied(follow(payment(), truth(stage="pending", paid=None))) == (0, 1_000)
    assert applied(follow(payment(), truth(withdrawn="open"))) == (0, 1_000)


def test_capture_that_turns_declined_after_its_grant_is_taken():
    assert applied(follow(payment(), truth(stage="failed", paid=None))) == (1_000, 0)
    assert applied(follow(payment(), truth(withdrawn="lost"))) == (1_000, 0)


def test_completed_capture_gives_back_what_its_decline_had_taken():
    declined = follow(payment(), truth(withdrawn="lost"))

    assert applied(follow(declined, truth())) == (0, 0)


def test_dispute_about_a_part_sets_that_part_aside():
    found = follow(payment(), truth(disputes=[dispute(250, "open")]))

    assert applied(found) == (0, 250)
    assert applied(follow(found, truth(disputes=[dispute(250, "won")]))) == (0, 0)


def test_pending_refund_is_set_aside_until_it_moves_or_fails():
    waiting = follow(payment(), truth(refunds=[refund(300, "pending")]))

    assert applied(waiting) == (0, 300)
    assert applied(follow(waiting, truth(refunds=[refund(300)]))) == (300, 0)
    assert applied(follow(waiting, truth(refunds=[refund(300, "failed")]))) == (0, 0)


def test_refund_of_ours_on_its_way_stays_taken():
    waiting = payment(taken=300, seen=ProviderReport(movements={}))

    assert applied(follow(waiting, truth(refunds=[refund(300, "pending")]))) == (300, 0)


def test_refund_that_failed_does_not_become_money_again():
    failed = follow(payment(), truth(refunds=[refund(300, "failed")]))

    assert applied(follow(failed, truth(refunds=[refund(300)]))) == (0, 0)


def test_money_of_another_currency_is_parked_with_all_credits_aside():
    told = truth(disputes=[dispute(900, currency="JPY")])
    parked = follow(payment(), told)

    assert (applied(parked), parked.problem) == ((0, 1_000), OTHER_CURRENCY)
    assert plan(parked, told, is_live=False).action == "wait"
    assert plan(replace(parked, problem=""), told, is_live=False).action == "park"


def test_known_movements_survive_being_stored():
    found = follow(payment(), truth(refunds=[refund(100)], disputes=[dispute(250, "open")]))

    stored = to_data(found)

    assert from_data("pay_1", stored) == found
    assert found.disputes == ("D1",)


def test_payment_without_movements_is_still_read():
    data: Any = to_data(payment(taken=100))
    del data["seen"]["movements"], data["seen"]["withdrawn"], data["applied"]["aside"]

    found = from_data("pay_1", {**data, "applied": {**data["applied"], "suspension": "hold_1"}})

    assert (found.seen.movements, found.applied.aside) == (None, 1_000)


STATES = {"refund": ["pending", "succeeded", "failed"], "dispute": ["open", "lost", "won", "withdrawn"]}


@given(st.data())
def test_taken_credits_equal_net_movement_in_any_order_of_telling(data):
    """Movements change at the provider, lists lose some of them, and truths come twice; failed refunds stay failed."""
    amounts = data.draw(st.lists(st.integers(1, 400), min_size=1, max_size=4))
    kinds = data.draw(st.lists(st.sampled_from(["refund", "dispute"]), min_size=len(amounts), max_size=len(amounts)))
    states = [STATES[kind][0] for kind in kinds]
    told: set[int] = set()
    account = payment(seen=ProviderReport(stage="paid", paid=PRICE, movements={}))
    for _ in range(data.draw(st.integers(1, 8))):
        which = data.draw(st.integers(0, len(amounts) - 1))
        if not (kinds[which] == "refund" and states[which] == "failed"):
            states[which] = data.draw(st.sampled_from(STATES[kinds[which]]))
        listed = {which} | data.draw(st.sets(st.integers(0, len(amounts) - 1)))
        told |= listed
        refunds = [refund(amounts[n], states[n], f"R{n}") for n in listed if kinds[n] == "refund"]
        disputes = [dispute(amounts[n], states[n], f"D{n}") for n in listed if kinds[n] == "dispute"]

        account = follow(account, truth(refunds=refunds, disputes=disputes))

        if told <= listed:
            gone = sum(amounts[n] for n in told if states[n] in {"succeeded", "lost"})
            undecided = sum(amounts[n] for n in told if states[n] in {"pending", "open"})
            assert account.applied.taken >= min(gone, 1_000)
            assert sum(applied(account)) == min(gone + undecided, 1_000)


@given(st.lists(st.sampled_from(["refunds", "disputes", "both", "neither"]), max_size=6))
def test_nothing_is_given_back_because_a_list_got_shorter(lists):
    full = truth(refunds=[refund(300)], disputes=[dispute(400)])
    account = follow(payment(), full)
    for listed in lists:
        told = replace(
            full,
            refunds=full.refunds if listed in {"refunds", "both"} else (),
            disputes=full.disputes if listed in {"disputes", "both"} else (),
        )
        account = follow(account, told)
        assert applied(account) == (700, 0)


@pytest.mark.skipif(not CASES.is_dir(), reason="the recorded objects are not here")
def test_recorded_paypal_objects_take_what_their_rows_say():
    for row in json.loads((CASES / "paypal" / "objects.json").read_text())["truths"]:
        captures = row["order"]["purchase_units"][0]["payments"]["captures"]
        told = truth_of(row["order"], captures[0], row["disputes"], is_live=False)
        for seen in (ProviderReport(), ProviderReport(stage="paid", paid=PRICE)):
            found = follow(payment(taken=row["before"]["taken_minor"], seen=seen), told)
            right = row["right"]
            if "gone_minor" in right:
                assert found.applied.taken == right["gone_minor"], row["what"]
            if right.get("suspended"):
                assert found.applied.aside == 1_000, row["what"]
            if right.get("parked_or_converted"):
                assert found.problem == OTHER_CURRENCY, row["what"]


@pytest.mark.skipif(not CASES.is_dir(), reason="the recorded objects are not here")
def test_recorded_stripe_disputes_take_what_their_rows_say():
    intent = {"id": "pi_1", "status": "succeeded", "amount_received": 1_000, "currency": "usd", "livemode": False}
    for row in json.loads((CASES / "stripe" / "disputes.json").read_text())["rows"]:
        told = stripe_truth_of(Found(session=None, intent=intent), [], [row["dispute"]], [])

        assert applied(follow(payment(), told)) == (row["right"]["gone_minor"], 0), row["what"]
