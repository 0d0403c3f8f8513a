"""PayPal's adapter on a stand-in, where it is PayPal's own: tokens, orders and captures, forgotten keys, failures."""

from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import pytest

from emulator.stand_ins.paypal import PayPalStandIn
from emulator.stand_ins.wire import Answer, Server, json_answer
from shared.kernel.clock import HOUR, SystemClock
from shared.kernel.ids import Uid
from shared.payments.fiat import Fiat
from shared.payments.payment import seen_in
from shared.payments.ports import (
    CaptureInProgress,
    Checkout,
    Dispute,
    Notice,
    ProviderRefused,
    ProviderUnavailable,
    Truth,
    UnknownAtProvider,
)
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.paypal import api
from shared.platform.paypal.provider import DISPUTES_PAGES_MAX, PayPalProvider

PRICE = Fiat(1250, "USD")
PATIENCE_SECONDS = 120


@pytest.fixture
def paypal():
    with PayPalStandIn() as running:
        yield running


@pytest.fixture
def alerts():
    return MemoryAlerts()


def connected(paypal, alerts, **changes):
    given = {"api_base": paypal.url, "client_id": paypal.client_id, "client_secret": paypal.client_secret}
    return PayPalProvider(**{**given, **changes}, clock=SystemClock(), alerts=alerts)


@pytest.fixture
def provider(paypal, alerts):
    return connected(paypal, alerts)


def checkout(payment="pay_1", **changes):
    asked = {
        "payment": payment,
        "uid": Uid("ann"),
        "amount": PRICE,
        "title": "1,250 credits",
        "flow": "redirect",
        "success_url": "https://app.example.com/paid",
        "cancel_url": "https://app.example.com/cancelled",
        "expires_at": SystemClock().now() + HOUR,
    }
    return Checkout(**{**asked, **changes})


def approved(paypal, provider, payment="pay_1", ending="completed"):
    refs = provider.open(checkout(payment)).refs
    paypal.approve(order=refs["order"], ending=ending)
    return refs


def paid(paypal, provider, payment="pay_1"):
    refs = approved(paypal, provider, payment)
    provider.capture(refs, f"{payment}-capture")
    return provider.truth(refs)


def tokens(paypal):
    return len(paypal.requests(path="/v1/oauth2/token"))


# ── the transport ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_threads_share_one_token(paypal, provider):
    refs = provider.open(checkout()).refs
    fresh = connected(paypal, MemoryAlerts())
    before = tokens(paypal)

    with ThreadPoolExecutor(8) as pool:
        stages = {truth.stage for truth in pool.map(lambda _: fresh.truth(refs), range(24))}

    assert (stages, tokens(paypal) - before) == ({"open"}, 1)


def test_a_refused_token_is_replaced_once(paypal, provider):
    refs = provider.open(checkout()).refs
    paypal.expire_tokens()

    assert provider.truth(refs).stage == "open"
    assert tokens(paypal) == 2


def test_threads_replace_a_refused_token_together(paypal, provider):
    refs = provider.open(checkout()).refs
    paypal.expire_tokens()

    with ThreadPoolExecutor(8) as pool:
        stages = {truth.stage for truth in pool.map(lambda _: provider.truth(refs), range(8))}

    assert (stages, tokens(paypal)) == ({"open"}, 2)


def test_a_401_that_stays_ends_after_one_new_token(paypal, provider, alerts):
    refs = provider.open(checkout()).refs
    before = len(paypal.requests())
    paypal.fail(times=99, status=401, path="/v2/")

    with pytest.raises(ProviderUnavailable):
        provider.truth(refs)

    assert len(paypal.requests()) - before == 3
    assert [alert.event for alert in alerts.raised] == ["provider_locked_out"]


@pytest.mark.parametrize("secret", ["wrong", "\u00e9"])
def test_credentials_that_are_not_accepted_fail_no_payment_and_tell_operators(paypal, alerts, secret):
    locked_out = connected(paypal, alerts, client_secret=secret)

    with pytest.raises(ProviderUnavailable):
        locked_out.truth({"order": "x"})

    assert [(alert.event, alert.fields["call"]) for alert in alerts.raised] == [("provider_locked_out", "truth")]


def test_the_token_call_is_told_nothing_of_the_call_it_is_for(paypal, provider):
    provider.open(checkout())

    [token, order] = paypal.journal
    assert (token["path"], token["key"], token["body"]) == ("/v1/oauth2/token", None, "grant_type=client_credentials")
    assert order["key"]


def test_asking_sends_no_body(paypal, provider):
    provider.truth(provider.open(checkout()).refs)

    assert {seen["body"] for seen in paypal.requests(method="GET")} == {""}


def test_ids_do_not_reach_into_other_paths(paypal, provider):
    for ref in ("../../v1/oauth2/token", "x?y=1", "a/b", "\\1", "%2e"):
        with pytest.raises((UnknownAtProvider, ProviderUnavailable)):
            provider.truth({"order": ref})

    assert {seen["query"] for seen in paypal.requests(method="GET")} == {""}
    assert all(seen["path"].startswith("/v2/checkout/orders/") for seen in paypal.requests(method="GET"))


def test_nobody_is_followed_elsewhere_with_our_token(alerts):
    asked = []

    def serve(request):
        asked.append(request.path)
        if request.path == "/v1/oauth2/token":
            return json_answer({"access_token": "t", "token_type": "Bearer", "expires_in": 9_000})
        return Answer(status=302, headers={"Location": "/elsewhere"})

    server = Server(0, serve, name="elsewhere")
    server.start()
    try:
        lost = PayPalProvider(api_base=server.url, client_id="a", client_secret="b", clock=SystemClock(), alerts=alerts)
        with pytest.raises(ProviderUnavailable):
            lost.truth({"order": "x"})
    finally:
        server.stop()

    assert "/elsewhere" not in asked


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_order_says_all_that_was_asked(paypal, provider):
    order = paypal.get(id=provider.open(checkout()).refs["order"])

    [unit] = order["purchase_units"]
    assert (unit["amount"], unit["custom_id"], unit["invoice_id"], unit["description"], order["intent"]) == (
        {"currency_code": "USD", "value": "12.50"},
        "pay_1",
        "pay_1",
        "1,250 credits",
        "CAPTURE",
    )


def test_an_app_approves_the_order_by_its_id(paypal, provider):
    opened = provider.open(checkout(flow="intent"))
    paypal.approve(order=opened.client_secret)

    provider.capture(opened.refs, "k1")

    assert provider.truth(opened.refs).paid == PRICE


@pytest.mark.parametrize(("amount", "written"), [(Fiat(1200, "HUF"), "12"), (Fiat(12, "JPY"), "12")])
def test_currencies_that_paypal_takes_whole_are_written_whole(paypal, provider, amount, written):
    refs = provider.open(checkout(amount=amount)).refs
    paypal.approve(order=refs["order"])
    provider.capture(refs, "k1")

    assert paypal.get(id=refs["order"])["purchase_units"][0]["amount"]["value"] == written
    assert provider.truth(refs).paid == amount


def test_a_price_that_paypal_does_not_take_is_refused(provider):
    with pytest.raises(ProviderRefused) as error:
        provider.open(checkout(amount=Fiat(1250, "HUF")))

    assert error.value.params["reason"] == "decimal_precision"


def test_an_order_that_nobody_captured_is_forgotten(paypal, provider):
    refs = approved(paypal, provider)
    paypal.expire_order(order=refs["order"])

    with pytest.raises(UnknownAtProvider):
        provider.truth(refs)
    with pytest.raises(UnknownAtProvider):
        provider.capture(refs, "k1")


def test_cancelling_changes_nothing_at_paypal(paypal, provider):
    refs = approved(paypal, provider)

    provider.cancel(refs)

    assert provider.truth(refs).stage == "approved"


# ── captures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_declined_instrument_is_refused_and_another_may_follow(paypal, provider):
    refs = approved(paypal, provider, ending="declined")
    with pytest.raises(ProviderRefused) as error:
        provider.capture(refs, "k1")
    assert error.value.params["reason"] == "instrument_declined"

    paypal.advance(seconds=1)
    paypal.approve(order=refs["order"])
    provider.capture(refs, "k1")

    assert provider.truth(refs).stage == "paid"


def test_a_declined_capture_that_is_repeated_stays_declined(paypal, provider):
    refs = approved(paypal, provider, ending="declined")

    for _ in range(2):
        with pytest.raises(ProviderRefused) as error:
            provider.capture(refs, "k1")
        assert error.value.params["reason"] == "instrument_declined"

    assert provider.truth(refs).stage == "approved"


def test_a_denied_capture_is_a_failed_payment(paypal, provider):
    refs = approved(paypal, provider, ending="denied")

    provider.capture(refs, "k1")
    provider.capture(refs, "k2")

    truth = provider.truth(refs)
    assert (truth.stage, truth.paid, truth.money, truth.failure) == ("failed", None, None, "declined")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_capture_whose_answer_was_lost_is_not_made_again(paypal, provider, when):
    refs = approved(paypal, provider)
    paypal.fail(path="/capture", method="POST", when=when)
    with pytest.raises(ProviderUnavailable):
        provider.capture(refs, "k1")
    paypal.expire_idempotency_keys()

    provider.capture(refs, "k1")

    assert paypal.capture_count(order=refs["order"]) == 1


def test_workers_who_capture_at_once_take_the_money_once(paypal, provider):
    refs = approved(paypal, provider)

    def capture(number):
        try:
            provider.capture(refs, f"k{number % 3}")
        except ProviderUnavailable:
            return "busy"
        return "done"

    with ThreadPoolExecutor(9) as pool:
        answers = set(pool.map(capture, range(9)))

    assert "done" in answers
    assert paypal.capture_count(order=refs["order"]) == 1


def test_second_capture_is_told_that_the_first_is_under_way(paypal, provider):
    refs = approved(paypal, provider)
    paypal.slow(seconds=PATIENCE_SECONDS, times=2, path="/capture")

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(provider.capture, refs, "k") for _ in range(2)]
        wait(asked, return_when=FIRST_COMPLETED)
        paypal.hurry()

    errors = [each.exception() for each in asked]
    assert sorted(type(error).__name__ for error in errors) == ["CaptureInProgress", "NoneType"]
    assert paypal.capture_count(order=refs["order"]) == 1


@pytest.mark.parametrize(
    ("status", "issue"),
    [(409, "PREVIOUS_REQUEST_IN_PROGRESS"), (409, "RESOURCE_CONFLICT"), (422, "DUPLICATE_REQUEST_ID")],
)
def test_capture_in_progress_is_no_refusal(alerts, status, issue):
    order = {"id": "O1", "status": "APPROVED", "intent": "CAPTURE", "purchase_units": [{"custom_id": "pay_1"}]}

    def serve(request):
        if request.path == "/v1/oauth2/token":
            return json_answer({"access_token": "t", "token_type": "Bearer", "expires_in": 9_000})
        if request.method == "GET":
            return json_answer(order)
        return json_answer({"name": issue, "details": [{"issue": issue}]}, status=status)

    server = Server(0, serve, name="busy")
    server.start()
    try:
        busy = PayPalProvider(api_base=server.url, client_id="a", client_secret="b", clock=SystemClock(), alerts=alerts)
        with pytest.raises(CaptureInProgress):
            busy.capture({"order": "O1"}, "k")
    finally:
        server.stop()


# ── an order that cannot be found (any more) ─────────────────────────────────────────────────────────────────────────


def without_its_order(paypal):
    """PayPal does not find it, once; the capture it finds."""
    paypal.fail(status=404, path="/v2/checkout/orders", method="GET")


def test_what_went_back_in_part_is_not_forgotten_with_the_order_that_listed_it(paypal, provider):
    refs = paid(paypal, provider).refs
    paypal.refund(of=refs["order"], value="5.00")
    without_its_order(paypal)

    with pytest.raises(ProviderUnavailable):
        provider.truth(refs)

    assert [one.amount for one in provider.truth(refs).refunds] == [Fiat(500, "USD")]


def test_what_went_back_whole_is_told_by_its_capture_alone(paypal, provider):
    refs = paid(paypal, provider).refs
    paypal.refund(of=refs["order"])
    without_its_order(paypal)

    truth = provider.truth(refs)

    assert [(one.amount, one.status) for one in truth.refunds] == [(PRICE, "succeeded")]


def test_nothing_is_given_back_while_it_cannot_be_seen_whether_it_was(paypal, provider):
    refs = paid(paypal, provider).refs
    paypal.fail(path="/refund", method="POST", when="after")
    with pytest.raises(ProviderUnavailable):
        provider.refund(refs, Fiat(500, "USD"), "k1")
    paypal.expire_idempotency_keys()
    without_its_order(paypal)

    with pytest.raises(ProviderUnavailable):
        provider.refund(refs, Fiat(500, "USD"), "k1")

    assert len(provider.truth(refs).refunds) == 1


# ── truth ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_truth_is_a_truth(paypal, provider):
    truth = paid(paypal, provider)

    assert truth == Truth(
        stage="paid",
        refs=truth.refs,
        is_live=False,
        payment="pay_1",
        money=truth.refs["capture"],
        paid=PRICE,
    )
    assert set(truth.refs) == {"order", "capture"}


def test_a_refunded_payment_is_still_paid_with_all_its_refunds(paypal, provider):
    truth = paid(paypal, provider)
    paypal.refund(of=truth.money, value="2.50")
    paypal.refund(of=truth.money)

    now = provider.truth(truth.refs)

    assert (now.stage, now.paid) == ("paid", PRICE)
    assert [refund.amount for refund in now.refunds] == [Fiat(250, "USD"), Fiat(1000, "USD")]


def test_a_part_of_a_payment_may_be_disputed(paypal, provider):
    truth = paid(paypal, provider)
    dispute = paypal.dispute(of=truth.money, value="5.00")["dispute_id"]
    paypal.review_dispute(dispute=dispute)
    assert provider.truth(truth.refs).disputes == (Dispute(id=dispute, amount=Fiat(500, "USD"), status="open"),)

    paypal.close_dispute(dispute=dispute, outcome="lost")

    now = provider.truth(truth.refs)
    assert now.disputes == (Dispute(id=dispute, amount=Fiat(500, "USD"), status="lost", refund=now.refunds[0].id),)
    assert seen_in(now).gone == 500


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("RESOLVED_WITH_PAYOUT", "won"),
        ("DENIED", "won"),
        ("ACCEPTED", "lost"),
        ("NONE", "withdrawn"),
        ("SOMETHING_NEW", "open"),
    ],
)
def test_every_outcome_of_a_dispute_has_a_meaning(paypal, provider, outcome, status):
    truth = paid(paypal, provider)
    dispute = paypal.dispute(of=truth.money)["dispute_id"]
    paypal.alter(id=dispute, changes={"status": "RESOLVED", "dispute_outcome": {"outcome_code": outcome}})

    assert [each.status for each in provider.truth(truth.refs).disputes] == [status]


def test_what_others_sell_on_our_account_is_none_of_ours(paypal, provider):
    refs = provider.open(checkout()).refs
    [unit] = paypal.get(id=refs["order"])["purchase_units"]
    del unit["custom_id"]
    paypal.alter(id=refs["order"], changes={"purchase_units": [unit]})

    assert provider.locate(refs) is None


@pytest.mark.parametrize("refs", [{}, {"unicorn": "x"}, {"session": "cs_1"}])
def test_refs_of_nothing_are_unknown(provider, refs):
    with pytest.raises(UnknownAtProvider):
        provider.truth(refs)


def test_missed_events_are_listed_over_pages(paypal, provider):
    since = SystemClock().now() // 1_000 * 1_000
    for number in range(40):
        paid(paypal, provider, f"pay_{number}")

    found: list[Notice] = []
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        page = provider.notices(since, cursor)
        found, cursor, pages = [*found, *page.items], page.cursor, pages + 1

    assert pages > 1
    assert len({notice.id for notice in found}) == len(found) == 120
    assert {notice.payment for notice in found} == {f"pay_{number}" for number in range(40)}


def test_events_older_than_paypal_keeps_are_not_asked_for(paypal, provider):
    assert provider.notices(0, None).items == []


# ── refunds ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_refund_whose_answer_was_lost_is_not_made_again(paypal, provider, when):
    truth = paid(paypal, provider)
    paypal.fail(path="/refund", method="POST", when=when)
    with pytest.raises(ProviderUnavailable):
        provider.refund(truth.refs, Fiat(250, "USD"), "r1")
    paypal.expire_idempotency_keys()

    refund = provider.refund(truth.refs, Fiat(250, "USD"), "r1")

    assert provider.truth(truth.refs).refunds == (refund,)


def test_a_key_means_one_amount_for_ever(paypal, provider):
    truth = paid(paypal, provider)
    provider.refund(truth.refs, Fiat(250, "USD"), "r1")
    paypal.expire_idempotency_keys()

    with pytest.raises(ProviderRefused):
        provider.refund(truth.refs, Fiat(300, "USD"), "r1")


@pytest.mark.parametrize(
    ("starts", "status"), [("PENDING", "pending"), ("FAILED", "failed"), ("COMPLETED", "succeeded")]
)
def test_a_refund_is_as_far_as_paypal_says(paypal, provider, starts, status):
    truth = paid(paypal, provider)
    paypal.refunds_start(status=starts)

    assert provider.refund(truth.refs, PRICE, "r1").status == status


@pytest.mark.parametrize(("amount"), [Fiat(250, "EUR"), Fiat(1251, "USD")])
def test_what_was_not_paid_is_not_given_back(paypal, provider, amount):
    truth = paid(paypal, provider)

    with pytest.raises(ProviderRefused):
        provider.refund(truth.refs, amount, "r1")

    assert provider.truth(truth.refs).refunds == ()


def test_nothing_is_refunded_of_an_open_order(provider):
    with pytest.raises(ProviderRefused):
        provider.refund(provider.open(checkout()).refs, PRICE, "r1")


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────

CALLS = {
    "open": lambda provider, refs: provider.open(checkout("pay_9")),
    "truth": lambda provider, refs: provider.truth(refs),
    "capture": lambda provider, refs: provider.capture(refs, "k"),
    "refund": lambda provider, refs: provider.refund(refs, PRICE, "r1"),
    "locate": lambda provider, refs: provider.locate(refs),
    "notices": lambda provider, refs: provider.notices(0, None),
}


def test_nobody_waits_for_ever(paypal, provider, monkeypatch):
    refs = provider.open(checkout()).refs
    monkeypatch.setattr(api, "READ_SECONDS", 0.1)
    paypal.fail(how="hang", seconds=60)

    with pytest.raises(ProviderUnavailable):
        provider.truth(refs)
    paypal.hurry()


@pytest.mark.parametrize("status", [409, 429, 500, 503, "reset"])
@pytest.mark.parametrize("call", CALLS)
def test_a_provider_that_fails_is_unavailable_whatever_was_asked(paypal, provider, alerts, call, status):
    refs = paid(paypal, provider).refs
    paypal.fail(times=9, **({"how": "reset"} if status == "reset" else {"status": status}))

    with pytest.raises(ProviderUnavailable):
        CALLS[call](provider, refs)

    assert alerts.raised == []


def test_a_list_without_an_end_is_no_answer(paypal, provider, alerts):
    refs = paid(paypal, provider).refs
    order = paypal.get(id=refs["order"])
    asked: list[str] = []

    def serve(request):
        asked.append(request.path)
        if request.path == "/v1/oauth2/token":
            return json_answer({"access_token": "t", "token_type": "Bearer", "expires_in": 9_000})
        more = [{"rel": "next", "href": "https://api.paypal.com/v1/customer/disputes?next_page_token=x"}]
        return json_answer({"items": [], "links": more} if "disputes" in request.path else order)

    server = Server(0, serve, name="endless")
    server.start()
    try:
        odd = PayPalProvider(api_base=server.url, client_id="a", client_secret="b", clock=SystemClock(), alerts=alerts)
        with pytest.raises(ProviderUnavailable):
            odd.truth(refs)
    finally:
        server.stop()

    assert asked.count("/v1/customer/disputes") == DISPUTES_PAGES_MAX


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'"x"', b'{"purchase_units": 7, "status": []}', b"\xff"]
)
@pytest.mark.parametrize("call", CALLS)
def test_an_answer_that_makes_no_sense_is_no_answer(alerts, call, body):
    def serve(request):
        if request.path == "/v1/oauth2/token":
            return json_answer({"access_token": "t", "token_type": "Bearer", "expires_in": 9_000})
        return Answer(body=body)

    server = Server(0, serve, name="nonsense")
    server.start()
    try:
        odd = PayPalProvider(api_base=server.url, client_id="a", client_secret="b", clock=SystemClock(), alerts=alerts)
        with pytest.raises(ProviderUnavailable):
            CALLS[call](odd, {"order": "x"})
    finally:
        server.stop()
