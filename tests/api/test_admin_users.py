"""Lists of users: each filter finds whom it names, over pages, in reads that do not grow with the users."""

import pytest

from shared.kernel.ids import LotId, OperationId
from shared.kernel.money import Micro
from shared.ledger.commands import Charge, Freeze, Grant, Reverse
from shared.users.user_queries import UserFilter
from tests.api.world import problem


def uids(person, query):
    return [each["uid"] for each in person.get(f"/admin/users?{query}").json["items"]]


def seen(world, email, **details):
    person = world.person(email=email, **details)
    person.get("/me")
    world.clock.advance(1_000)
    return person


def owe(world, uid, credits_):
    ledger = world.services.credits.ledger
    amount = Micro(credits_ * 1_000_000)
    commands = (
        Grant(operation=OperationId("op_g"), fingerprint="g", amount=amount, lot=LotId("lot_x"), source="promo:x"),
        Charge(operation=OperationId("op_c"), fingerprint="c", amount=amount, purpose="chat"),
        Reverse(operation=OperationId("op_r"), fingerprint="r", lot=LotId("lot_x"), target=amount),
    )
    for command in commands:
        ledger.execute(uid, command)


@pytest.fixture
def town(world):
    """Four users, in the order of their first calls, and an operator who called before them."""
    support = world.person("support", email="zoe@ops.example")
    support.get("/me")
    world.clock.advance(1_000)
    names = ("ann@shop.example", "anna@shop.example", "bob@shop.example", "carl@shop.example")
    return support, [seen(world, name) for name in names]


def test_users_are_listed_by_their_first_calls_newest_first(town):
    support, people = town

    assert uids(support, "") == [*(each.uid for each in reversed(people)), support.uid]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_show_each_user_once(town, limit):
    support, people = town
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = support.get(f"/admin/users?limit={limit}{cursor and f'&cursor={cursor}'}").json
        found += [each["uid"] for each in page["items"]]
        cursor = page["next_cursor"]

    assert found == [*(each.uid for each in reversed(people)), support.uid]


@pytest.mark.parametrize(("prefix", "numbers"), [("ann", [0, 1]), ("ANNA@", [1]), ("bob@shop.example", [2]), ("x", [])])
def test_an_address_is_found_by_its_beginning(town, prefix, numbers):
    support, people = town

    assert uids(support, f"email={prefix}") == [people[number].uid for number in numbers]


def test_a_user_who_never_called_is_found_by_the_whole_address(world, town):
    support, _ = town
    quiet = world.person(email="quiet@shop.example")

    assert uids(support, "email=quiet") == []
    assert uids(support, "email=Quiet@shop.example") == [quiet.uid]


def test_a_changed_address_is_found_after_the_next_call(world, town):
    support, people = town
    world.identity.link_email(people[0].uid, "new@shop.example")
    world.call("GET", "/me", headers={"Authorization": f"Bearer {world.identity.token(people[0].uid)}"})

    assert (uids(support, "email=new@"), uids(support, "email=ann@")) == ([people[0].uid], [])


def test_who_has_left_is_found_as_closed_without_an_address(town):
    support, people = town
    people[0].call("DELETE", "/me")

    (row,) = support.get("/admin/users?status=closed").json["items"]

    assert (row["uid"], row["email"], row["status"]) == (people[0].uid, None, "closed")
    assert uids(support, "email=ann@") == []


def test_frozen_users_are_found(world, town):
    support, people = town
    world.services.credits.ledger.execute(people[1].uid, Freeze(operation=OperationId("op_f"), fingerprint="f"))

    assert uids(support, "status=frozen") == [people[1].uid]
    assert people[1].uid not in uids(support, "status=open")


def test_users_in_debt_are_found_by_the_least_debt(world, town):
    support, people = town
    owe(world, people[2].uid, 3)

    told = [uids(support, query) for query in ("debt=true", "debt_min=3", "debt_min=3.000001")]

    assert told == [[people[2].uid], [people[2].uid], []]
    assert people[2].uid not in uids(support, "debt=false")


def test_operators_are_found_by_role_until_it_is_taken(world, town):
    support, people = town
    admin = world.person("admin")
    for roles in (["auditor"], []):
        admin.call("PUT", f"/admin/users/{people[0].uid}/roles", body={"roles": roles})

        assert uids(support, "role=auditor") == [people[0].uid] * len(roles)
    assert uids(support, "role=support") == [support.uid]


def test_users_are_found_by_date_and_further_conditions(world, town):
    support, people = town
    at = world.services.users.profiles.get(people[1].uid).created_at
    wanted = UserFilter(first=at, last=at + 1_000)

    page = world.services.user_list.page(wanted, cursor=None, limit=20)

    assert [each.uid for each in page.items] == [people[1].uid]
    assert uids(support, "from=2000-01-01&email=ann&status=open") == [people[0].uid, people[1].uid]
    assert uids(support, "to=2000-01-01") == []


@pytest.mark.parametrize("cursor", ["ImVtYWlsfnh-eSI", "ImRhdGV-eH55Ig", "ImRhdGV-MX4i", "Ingi"])
def test_a_cursor_of_another_list_is_refused(town, cursor):
    support, _ = town

    assert problem(support.get(f"/admin/users?cursor={cursor}"))[0] == 422


def test_nobody_is_listed_for_a_uid_that_names_nobody(town):
    support, people = town

    assert (uids(support, "uid=nobody"), uids(support, "uid=a%2Fb")) == ([], [])
    assert uids(support, f"uid={people[0].uid}") == [people[0].uid]


def test_a_list_is_recorded_as_a_look_at_many(world, town):
    support, people = town
    support.get("/admin/users?email=ann")
    support.get("/admin/users?email=anna")
    support.get("/admin/users?email=nobody")

    records = world.services.users.audit.page(cursor=None, limit=9).items
    assert sorted(each.target for each in records) == sorted([people[1].uid, "many"])
