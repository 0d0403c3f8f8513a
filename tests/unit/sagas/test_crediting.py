"""A payment is credited in one commit with the money's document and its own end; a saga does what that cannot."""

from collections.abc import Mapping, Sequence

import pytest

from shared.kernel.documents import COMMIT_TIMEOUT_SECONDS, Delete, Version, Write
from shared.kernel.errors import DomainError
from shared.kernel.ids import OperationId
from shared.ledger.commands import Freeze
from shared.payments.store import effect_path
from shared.sagas.payments.settlement import Settlement
from shared.sagas.payments.steps import PaymentSteps
from tests.support.faults import Interrupted
from tests.support.ledgers import UID
from tests.support.shop import BONUS, CREDITS, Shop

ALL = CREDITS + BONUS
BOTH = pytest.mark.parametrize("provider", ["stripe", "paypal"])


class Commits:
    """Documents that remember the paths of each commit."""

    def __init__(self, inner) -> None:
        self.inner = inner
        self.paths: list[set[str]] = []

    def __getattr__(self, name: str):
        return getattr(self.inner, name)

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        self.paths.append({write.path for write in writes})
        return self.inner.commit(writes, timeout_seconds=timeout_seconds)


class Debts:
    """A mailbox that owes; each payment of it is noted."""

    def __init__(self) -> None:
        self.purchases: list[str] = []

    def is_clear(self, _uid) -> bool:
        return bool(self.purchases)

    def purchased(self, _uid, payment: str, _lots) -> None:
        self.purchases.append(payment)

    def remember_late(self, _uid, _payment, _amount) -> None:
        raise AssertionError("nobody has left")


@pytest.fixture
def shop():
    return Shop()


def paid(shop: Shop, provider="stripe", key: str = "k"):
    payment = shop.begin(provider, key)
    shop.providers[provider].approve(payment.id)
    return payment


def progress(shop: Shop, payment) -> Mapping[str, object]:
    found = shop.instance().settlement.progress(payment.id)
    assert found is not None
    return {"name": found.name, "phase": found.phase, "done": sorted(found.done)}


@BOTH
def test_credits_money_and_payment_are_one_commit(shop, provider):
    payment, commits = paid(shop, provider), Commits(shop.documents)

    shop.instance(commits).settlement.settle(payment.id)

    money = shop.providers[provider].truth(shop.instance().payments.get(payment.id).refs).money
    whole = {f"payment_sagas/{payment.id}", f"payments/{payment.id}", effect_path(provider, str(money))}
    assert whole < commits.paths[-1]
    assert any("/entries/" in path for path in commits.paths[-1])
    assert not any("/operations/" in path for path in commits.paths[-1])
    assert progress(shop, payment) == {"name": "top_up", "phase": "completed", "done": ["confirm", "grant", "record"]}


def test_debt_of_the_mailbox_is_paid_by_a_purchase_in_steps(shop):
    payment, debts = paid(shop), Debts()
    steps = PaymentSteps(shop.documents, shop.instance().ledger, shop.providers, shop.clock, debts)

    Settlement(shop.documents, shop.providers, steps, shop.alerts, shop.clock).settle(payment.id)

    assert (debts.purchases, shop.money()) == ([payment.id], (ALL, 0, 0))


def test_frozen_account_gets_the_credits_it_paid_for(shop):
    payment = paid(shop)
    shop.instance().ledger.execute(UID, Freeze(operation=OperationId("ice")))

    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.balance().available) == ("settled", ALL)


def test_lost_record_of_a_credited_payment_credits_nothing_again(shop):
    """An operator's mistake: the payment says that it was not credited, and the money's document is gone."""
    payment = paid(shop)
    before = shop.documents.get(f"payment_sagas/{payment.id}")
    settled = shop.instance().settlement.settle(payment.id)
    money = shop.stripe.truth(settled.refs).money
    found = shop.documents.get(f"payment_sagas/{payment.id}")
    shop.documents._documents[before.path] = found.__class__(path=found.path, data=before.data, version=found.version)
    shop.documents.commit([Delete(effect_path("stripe", str(money)))])

    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


@BOTH
@pytest.mark.parametrize("when", ["before", "after"])
def test_two_workers_credit_once_when_both_have_asked(shop, provider, when):
    payment = paid(shop, provider)

    def other() -> None:
        shop.instance().settlement.look(payment.id)

    try:
        shop.instance(Interrupted(shop.documents, 1, when, other)).settlement.settle(payment.id)
    except DomainError as error:
        assert error.code in {"lease_lost", "payment_busy"}  # noqa: PT017  # both are asked again

    shop.instance().settlement.settle(payment.id)
    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


def test_disputed_money_is_credited_and_set_aside_in_the_same_commit(shop):
    payment, commits = paid(shop), Commits(shop.documents)
    shop.stripe.dispute(payment.id)

    shop.instance(commits).settlement.settle(payment.id)

    assert len(commits.paths) == 1
    assert (shop.status(payment), shop.money()) == ("disputed", (0, ALL, 0))
