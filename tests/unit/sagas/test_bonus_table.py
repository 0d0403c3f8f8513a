"""Who gets the welcome bonus: rows of addresses, each row's addresses claimed one after the other."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from shared.kernel.clock import DAY
from shared.kernel.documents import Create
from shared.kernel.errors import DomainError
from shared.sagas.accounts.bonus_caps import DOMAIN_BONUSES_A_DAY, DOMAIN_BONUSES_UNPAID, BonusCapReached
from shared.sagas.accounts.welcome_bonus import AlreadyClaimed, BonusNotAllowed
from shared.users.mailbox import mark_key_of, marks, normalised_v1
from shared.users.principal import Principal
from tests.support.people import CREDIT, People, op, settings

BONUS = 1000 * CREDIT
ONE, DISPOSABLE = "already_claimed", "disposable"


def claimed(people: People, email: str, **details: object) -> str:
    """Return `bonus`, or the code or reason of the refusal."""
    user = people.user(email, **details)
    try:
        people.bonus.claim(user, op(user.uid), "body")
    except DomainError as error:
        return str(error.params.get("reason", error.code))
    return "bonus"


SAME_MAILBOX = [
    ("ann@gmail.com", "a.n.n@gmail.com", "ann+1@gmail.com", "Ann@GoogleMail.com", "A.nn+x@googlemail.com"),
    ("ann@proton.me", "ann@protonmail.com", "ann@pm.me", "a-n_n@proton.me", "a.n.n+1@protonmail.ch"),
    ("ann@icloud.com", "ann@me.com", "ann@mac.com", "ann+1@icloud.com"),
    ("a.nn@yandex.ru", "a-nn@ya.ru", "a.nn@yandex.com", "a-nn+x@yandex.kz", "a.nn@yandex.com.tr", "a-nn@narod.ru"),
    ("ann@fastmail.com", "ann+1@fastmail.com", "1@ann.fastmail.com", "x+y@ann.fastmail.com"),
    ("ann@yahoo.com", "ann-1@yahoo.com", "ann-a-b@yahoo.com", "ann+1@yahoo.com"),
    ("ann@yahoo.co.jp", "ann-1@yahoo.co.jp"),
    ("ann@aol.com", "ann-1@aol.com"),
    ("ann@outlook.com", "ann+1@outlook.com", "ANN+2@OUTLOOK.com"),
    ("ann@hotmail.com", "ann+1@hotmail.com"),
    ("ann@live.co.uk", "ann+1@live.co.uk"),
    ("ann@gmx.de", "ann+1@gmx.de"),
    ("ann@mail.ru", "ann+1@mail.ru"),
    ("ann@daum.net", "ann@hanmail.net"),
    ("ann@shop.example", "ann+1@shop.example", "ANN@SHOP.EXAMPLE.", "\uff41nn@shop.example"),
    ("ann@fa\u00df.de", "ann@fass.de", "ann@xn--fa-hia.de", "ann@FASS.de"),
    ("ann@b\u00fccher.de", "ann@xn--bcher-kva.de", "ann@B\u00dcCHER.de", "ann@b\u00fccher\u3002de"),
]
DIFFERENT_MAILBOXES = [
    ("ann@gmail.com", "bob@gmail.com", "anne@gmail.com"),
    ("ann@outlook.com", "ann@hotmail.com", "an.n@outlook.com", "an-n@outlook.com"),
    ("ann@fastmail.com", "ann@fastmail.fm", "1@bob.fastmail.com"),
    ("ann@yahoo.com", "ann@yahoo.co.uk"),
    ("ann@icloud.com", "an.n@icloud.com"),
    ("ann@shop.example", "an.n@shop.example", "ann@shop2.example", "ann@mail.shop.example"),
    ("ann@privaterelay.appleid.com", "bob@privaterelay.appleid.com"),
]
THROWN_AWAY = ["ann@mailinator.com", "ann@yopmail.com", "ann@x.mailinator.com", "ann@guerrillamail.com"]


@pytest.mark.parametrize("addresses", SAME_MAILBOX, ids=lambda row: row[0])
def test_one_mailbox_gets_one_bonus_in_any_spelling(addresses):
    people = People()

    got = [claimed(people, address) for address in addresses]

    assert got == ["bonus", *[ONE] * (len(addresses) - 1)]


@pytest.mark.parametrize("addresses", SAME_MAILBOX, ids=lambda row: row[0])
def test_one_mailbox_gets_one_bonus_in_the_opposite_order(addresses):
    people = People()

    got = [claimed(people, address) for address in reversed(addresses)]

    assert got == ["bonus", *[ONE] * (len(addresses) - 1)]


@pytest.mark.parametrize("addresses", DIFFERENT_MAILBOXES, ids=lambda row: row[0])
def test_different_mailboxes_get_a_bonus_each(addresses):
    people = People()

    assert [claimed(people, address) for address in addresses] == ["bonus"] * len(addresses)


@pytest.mark.parametrize("address", THROWN_AWAY)
def test_a_throw_away_address_gets_no_bonus(address):
    assert claimed(People(), address) == DISPOSABLE


@pytest.mark.parametrize(
    "at", ["farm.example", "{n}.farm.example", "x.{n}.farm.example", "{n}.farm.co.uk", "{n}.github.io"]
)
def test_a_catch_all_domain_stops_at_the_cap(at):
    people = People()

    got = [claimed(people, f"u{n}@{at.format(n=n)}") for n in range(1000)]

    assert got == [*["bonus"] * DOMAIN_BONUSES_A_DAY, *["day"] * (1000 - DOMAIN_BONUSES_A_DAY)]


def test_a_catch_all_domain_stops_for_good_until_a_user_has_paid():
    people = People()
    days = 2 * DOMAIN_BONUSES_UNPAID // DOMAIN_BONUSES_A_DAY
    got = []
    for day in range(days):
        got += [claimed(people, f"u{day}-{n}@farm.example") for n in range(DOMAIN_BONUSES_A_DAY)]
        people.clock.advance(DAY)

    people.caps.paid("somebody@mail.farm.example")

    assert got.count("bonus") == DOMAIN_BONUSES_UNPAID
    assert got[-1] == "unpaid"
    assert claimed(people, "late@farm.example") == "bonus"


def test_who_meets_the_cap_is_told_when_and_claims_then():
    people = People()
    for n in range(DOMAIN_BONUSES_A_DAY):
        claimed(people, f"u{n}@farm.example")
    late = people.user("late@farm.example")

    with pytest.raises(BonusCapReached) as refused:
        people.bonus.claim(late, op("late"), "body")

    wait = refused.value.params["retry_after_ms"]
    assert isinstance(wait, int)
    assert 0 < wait <= DAY
    assert people.profile(late.uid).welcome_claimed_at is None
    people.clock.advance(wait)
    assert people.bonus.claim(late, op("late"), "body").amount == BONUS


def test_a_large_provider_has_no_cap():
    people = People()

    assert {claimed(people, f"user{n}@gmail.com") for n in range(2 * DOMAIN_BONUSES_UNPAID)} == {"bonus"}


def test_a_domain_that_the_settings_name_has_no_cap():
    people = People(settings=settings(WELCOME_BONUS_UNCAPPED_DOMAINS="acme.example"))

    assert {claimed(people, f"user{n}@acme.example") for n in range(2 * DOMAIN_BONUSES_UNPAID)} == {"bonus"}


def test_a_claim_asked_again_is_counted_once():
    people = People()
    user = people.user("ann@farm.example")
    for key in range(2 * DOMAIN_BONUSES_A_DAY):
        try:
            people.bonus.claim(user, op(f"key{key}"), "body")
        except AlreadyClaimed:
            continue

    assert claimed(people, "bob@farm.example") == "bonus"


def test_a_new_secret_keeps_the_claims_and_counts_of_the_old_ones():
    people = People()
    for n in range(DOMAIN_BONUSES_A_DAY):
        claimed(people, f"u{n}@farm.example")
    later = people.again(settings=settings(MARKS_SECRET="a secret of its own"))

    assert claimed(later, "u0+again@farm.example") == ONE
    assert claimed(later, "new@farm.example") == "day"


def test_claims_outlive_the_signing_key_when_a_secret_marks_them():
    people = People(settings=settings(MARKS_SECRET="a secret of its own"))
    claimed(people, "ann@farm.example")
    later = people.again(settings=settings(MARKS_SECRET="a newer secret of its own,a secret of its own"))

    assert claimed(later, "ann+2@farm.example") == ONE


def test_a_bonus_that_needs_a_payment_waits_for_one():
    people = People(settings=settings(WELCOME_BONUS_REQUIRES="verified,card"))

    assert claimed(people, "ann@farm.example") == "card"


def test_a_bonus_that_needs_app_check_waits_for_its_token():
    people = People(settings=settings(WELCOME_BONUS_REQUIRES="verified,app_check"))
    ann = people.user("ann@farm.example")

    with pytest.raises(BonusNotAllowed) as refused:
        people.bonus.claim(ann, op("one"), "body")

    assert refused.value.params == {"reason": "app_check"}
    assert people.bonus.claim(ann, op("one"), "body", is_app_verified=True).amount == BONUS


@pytest.mark.parametrize(
    ("claimed_as", "address"),
    [
        ("ann-shop@yahoo.com", "ann-shop@yahoo.com"),
        ("a.nn@pm.me", "a.nn@pm.me"),
        ("ann@me.com", "ann@icloud.com"),
        ("ann@ya.ru", "ann+2@yandex.com"),
        ("ann@xn--fa-hia.de", "ann@xn--fa-hia.de"),
        ("x@ann.fastmail.com", "x@ann.fastmail.com"),
    ],
)
def test_a_claim_under_an_earlier_spelling_and_key_still_counts(claimed_as, address):
    people = People()
    seed = people.settings.ledger_signing_keys[0].seed
    (mark,) = marks([mark_key_of(seed)], f"mailto:{normalised_v1(claimed_as)}")
    people.documents.commit([Create(f"bonus_claims/{mark}", {"v": 1, "uid": "long ago", "at": None})])
    later = people.again(settings=settings(MARKS_SECRET="a secret of its own"))

    assert claimed(later, address) == ONE


def test_claims_at_once_stop_at_the_cap():
    people = People()
    users = [people.user(f"u{n}@farm.example") for n in range(4 * DOMAIN_BONUSES_A_DAY)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda user: claim_quietly(people.again(), user), users))

    assert sum(people.ledger.balance(user.uid).total for user in users) == DOMAIN_BONUSES_A_DAY * BONUS


def claim_quietly(people: People, user: Principal) -> None:
    with suppress(BonusCapReached):
        people.bonus.claim(user, op(user.uid), "body")
