"""A user has at most three crypto payments that wait for coins, and gets a place back only for what is done."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from shared.bootstrap import in_memory
from shared.kernel.documents import Create, Documents, PreconditionFailed, Put
from shared.kernel.ids import Uid
from shared.kernel.money import Micro
from shared.payments.fiat import Fiat
from shared.payments.payment import AppliedChanges, Payment, Terms
from shared.payments.store import fields_of, saga_path
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.sagas.payments.crypto_places import OPEN_CRYPTO_PAYMENTS_MAX, CryptoPlaces, TooManyCryptoPayments
from tests.support.ledgers import UID

LIFETIME = 75 * 60 * 1_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def documents(clock) -> Documents:
    return in_memory(documents=MemoryDocuments(), clock=clock).ports.documents()


@pytest.fixture
def places(documents, clock) -> CryptoPlaces:
    return CryptoPlaces(documents, clock)


def payment(clock: ManualClock, number: int, *, uid: Uid = UID) -> Payment:
    terms = Terms(
        package="small", title="Small", price=Fiat(1_000, "USD"), credits=Micro(10**9), bonus=Micro(0), bonus_days=None
    )
    return Payment(
        id=f"pay_{number}",
        uid=uid,
        provider="evm" if number % 2 else "bitcoin",
        flow="redirect",
        terms=terms,
        fingerprint="f",
        created_at=clock.now(),
        expires_at=clock.now() + LIFETIME,
    )


def begin(documents: Documents, places: CryptoPlaces, begun: Payment) -> Payment:
    documents.commit([places.place(begun), Create(saga_path(begun.id), fields_of(begun))])
    return begun


def test_fourth_open_payment_is_refused_on_all_networks_together(documents, places, clock):
    for number in range(OPEN_CRYPTO_PAYMENTS_MAX):
        begin(documents, places, payment(clock, number))

    with pytest.raises(TooManyCryptoPayments) as refused:
        places.place(payment(clock, 4))

    assert refused.value.params == {"limit": 3, "retry_after_ms": LIFETIME}


def test_other_users_have_places_of_their_own(documents, places, clock):
    for number in range(OPEN_CRYPTO_PAYMENTS_MAX):
        begin(documents, places, payment(clock, number))

    begin(documents, places, payment(clock, 5, uid=Uid("other")))


def test_place_is_free_again_after_its_payment_s_time(documents, places, clock):
    for number in range(OPEN_CRYPTO_PAYMENTS_MAX):
        begin(documents, places, payment(clock, number))
    clock.advance(LIFETIME)

    for number in range(10, 10 + OPEN_CRYPTO_PAYMENTS_MAX):
        begin(documents, places, payment(clock, number))

    with pytest.raises(TooManyCryptoPayments):
        places.place(payment(clock, 20))


def test_credited_payment_gives_its_place_back(documents, places, clock):
    begun = [begin(documents, places, payment(clock, number)) for number in range(OPEN_CRYPTO_PAYMENTS_MAX)]
    credited = replace(begun[1], applied=AppliedChanges(is_granted=True))
    documents.commit([Put(saga_path(credited.id), fields_of(credited))])

    begin(documents, places, payment(clock, 10))

    with pytest.raises(TooManyCryptoPayments):
        places.place(payment(clock, 11))


def test_cancelled_payment_keeps_its_place(documents, places, clock):
    for number in range(OPEN_CRYPTO_PAYMENTS_MAX):
        begun = begin(documents, places, payment(clock, number))
        cancelled = replace(begun, is_cancelled=True, is_given_up=True)
        documents.commit([Put(saga_path(begun.id), fields_of(cancelled))])

    with pytest.raises(TooManyCryptoPayments):
        places.place(payment(clock, 10))


def test_twenty_at_once_take_three_places(documents, places, clock):
    def attempt(number: int) -> bool:
        while True:
            try:
                begin(documents, places, payment(clock, number))
            except TooManyCryptoPayments:
                return False
            except PreconditionFailed:
                continue
            return True

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(attempt, range(20)))

    assert sum(taken) == OPEN_CRYPTO_PAYMENTS_MAX
