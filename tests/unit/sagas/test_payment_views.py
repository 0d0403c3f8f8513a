"""What a payment's owner sees: REST's names and units, never older than the working document, also of earlier ones."""

import pytest

from shared.bootstrap import in_memory
from shared.bootstrap.migrations import MIGRATIONS
from shared.bootstrap.schemas import versioned
from shared.kernel.clock import MINUTE
from shared.kernel.documents import Put
from shared.kernel.ids import Uid
from shared.payments.owner_view import owner_view, renewed
from shared.payments.payment_documents import from_data, to_data
from shared.payments.store import PaymentFilter, PaymentNotFound, Payments, saga_path, view_path
from shared.sagas.engine.leases import Leases
from shared.sagas.engine.migrations import MigrationReport, Migrations
from shared.sagas.payments.payment_claims import LEASE_SECONDS
from tests.support.earlier_payments import store_as_before
from tests.support.ledgers import UID
from tests.support.live import check_live
from tests.support.shop import Shop

BOTH = pytest.mark.parametrize("provider", ["stripe", "paypal"])


@pytest.fixture
def shop():
    return Shop()


def shown(shop: Shop, payment) -> dict:
    return dict(versioned(shop.documents).get(view_path(payment.id)).data)  # type: ignore[union-attr]  # a payment has one


def listed(shop: Shop, limit: int = 2, **wanted) -> list[str]:
    """The ids of all pages of a list."""
    found, after = list[str](), None
    while True:
        page = shop.instance().payments.listed(PaymentFilter(**wanted), limit=limit, after=after)
        assert 0 < len(page.items) <= limit or after is None
        found += [each.id for each in page.items]
        after = page.after
        if after is None:
            return found


def migrated(shop: Shop) -> MigrationReport:
    services = in_memory(documents=shop.documents, clock=shop.clock)
    migration = next(each for each in MIGRATIONS if each.name == "payments").build(services)
    return Migrations(services.ports.documents(), shop.clock, lambda line: None).run(migration)


def in_old_form(shop: Shop) -> list[str]:
    return sorted(each.id for each in shop.all("payments") if "price_minor" in each.data)


def several(shop: Shop, count: int = 5) -> list:
    """Payments a minute apart, oldest first; every second one was paid."""
    made = []
    for number in range(count):
        shop.clock.advance(MINUTE)
        key = str(number)
        made.append(shop.bought(key=key) if number % 2 else shop.begin("paypal", key))
    return made


@BOTH
def test_owner_view_has_no_secret_and_no_working_field(shop, provider):
    payment = shop.bought(provider)

    told = shown(shop, payment)

    secret = {"client_secret", "fingerprint", "refs", "lease", "saga", "slot", "applied", "seen", "terms", "due_at"}
    assert secret & told.keys() == set()
    assert payment.fingerprint not in told.values()


@BOTH
def test_earlier_payment_reads_as_it_reads_today(shop, provider):
    payment = shop.bought(provider)
    shop.refund(payment, 400)
    payment, told = shop.instance().payments.get(payment.id), shown(shop, payment)

    store_as_before(shop.documents, payment)

    assert "price_minor" in shown(shop, payment)
    assert shop.instance().payments.view(payment.id, UID) == told
    assert shop.instance().payments.get(payment.id) == payment
    assert renewed(payment.id, told) is told


def test_lists_tell_payments_of_both_forms_newest_first(shop):
    made = several(shop)
    for each in made[1:4]:
        store_as_before(shop.documents, shop.instance().payments.get(each.id))
    newest_first = [each.id for each in reversed(made)]

    assert listed(shop) == listed(shop, limit=1) == listed(shop, limit=20) == newest_first
    assert listed(shop, status="settled") == [made[3].id, made[1].id]
    assert listed(shop, provider="paypal") == [made[4].id, made[2].id, made[0].id]
    assert listed(shop, is_under_review=False, uid=UID) == newest_first
    assert listed(shop, is_under_review=True) == []
    history = shop.instance().payments.history(UID, limit=20, after=None)
    for each in history.items:
        check_live("payments", each.data)
    assert [each.id for each in shop.instance().payments.since(0, limit=20, after=None)[0]] == newest_first


def test_payment_that_moves_between_the_two_questions_is_listed_once(shop):
    made = several(shop, 3)
    for each in made:
        store_as_before(shop.documents, shop.instance().payments.get(each.id))
    documents = shop.documents

    class MovesAfterTheFirst:
        asked = 0

        def __getattr__(self, name):
            return getattr(documents, name)

        def query(self, query):
            found = documents.query(query)
            self.asked += 1
            if self.asked == 1:
                migrated(shop)
            return found

    page = Payments(MovesAfterTheFirst()).history(UID, limit=20, after=None)

    assert [each.id for each in page.items] == [each.id for each in reversed(made)]


@BOTH
def test_earlier_payments_are_migrated_unchanged(shop, provider):
    payment, told, saga = shop.bought(provider), {}, {}
    opened = shop.begin(provider, "open")
    for each in (payment, opened):
        told[each.id] = shown(shop, each)
        saga[each.id] = shop.documents.get(saga_path(each.id)).data["due_at"]
        store_as_before(shop.documents, shop.instance().payments.get(each.id))
    shop.clock.advance(1_000)

    report = migrated(shop)

    assert report.is_complete
    for each in (payment, opened):
        assert shown(shop, each) == told[each.id]
        assert shop.documents.get(saga_path(each.id)).data["due_at"] == saga[each.id]
    assert in_old_form(shop) == []


def test_earlier_payment_is_renewed_by_the_next_settlement(shop):
    payment = shop.begin()
    store_as_before(shop.documents, payment)
    shop.stripe.approve(payment.id)

    shop.instance().settlement.settle(payment.id)

    check_live("payments", shown(shop, payment))
    assert shop.status(payment) == "settled"


def test_renewal_leaves_a_payment_that_another_worker_holds(shop):
    payment = shop.bought()
    store_as_before(shop.documents, payment)
    saga = shop.documents.get(saga_path(payment.id))
    leased = Leases(shop.documents, shop.clock).claim_read(saga, LEASE_SECONDS)
    assert leased is not None

    shop.instance().views.renew(payment.id)

    assert "schema" in shown(shop, payment)
    leased.free({})
    shop.instance().views.renew(payment.id)
    check_live("payments", shown(shop, payment))


def test_renewal_that_was_overtaken_changes_nothing(shop):
    payment = shop.begin()
    store_as_before(shop.documents, payment)
    documents, inner = shop.documents, shop.instance()

    class SettlesBeforeTheClaim:
        def __getattr__(self, name):
            return getattr(documents, name)

        def get_all(self, paths):
            found = documents.get_all(paths)
            shop.stripe.approve(payment.id)
            inner.settlement.settle(payment.id)
            return found

    shop.instance(SettlesBeforeTheClaim()).views.renew(payment.id)

    assert shop.status(payment) == "settled"


def test_migration_passes_payments_that_nobody_can_read_and_names_them(shop):
    made = sorted(several(shop, 5), key=lambda each: each.id)
    for each in made:
        store_as_before(shop.documents, shop.instance().payments.get(each.id))
    for each in made[:2]:
        saga = shop.documents.get(saga_path(each.id))
        shop.documents.commit([Put(saga.path, {**saga.data, "terms": {}})])

    report = migrated(shop)

    assert report.failed == {view_path(each.id): "KeyError" for each in made[:2]}
    assert in_old_form(shop) == [each.id for each in made[:2]]


@BOTH
def test_another_user_s_earlier_payment_is_not_found(shop, provider):
    payment = shop.bought(provider)
    store_as_before(shop.documents, payment)

    with pytest.raises(PaymentNotFound):
        shop.instance().payments.view(payment.id, Uid("somebody"))


def test_stored_payment_tells_status_and_review_for_queries(shop):
    payment = shop.bought()

    data = to_data(payment)

    assert (data["id"], data["status"], data["is_under_review"]) == (payment.id, "settled", False)
    assert from_data(payment.id, data) == payment
    assert owner_view(payment, 5)["updated_at"] == "1970-01-01T00:00:00.005Z"
