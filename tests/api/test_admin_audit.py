"""The audit trail by actor, act, target and time."""

import pytest

from shared.users.audit import LOOK_WINDOW, AuditFilter


@pytest.fixture
def town(world, admin, alice):
    """Two acts and a look at Alice, a window apart, and a look at Bob."""
    bob, support = world.person(email="bob@example.com"), world.person("support")
    admin.post(f"/admin/users/{alice.uid}/freeze", {"reason": "a dispute"})
    world.clock.advance(LOOK_WINDOW)
    support.get(f"/admin/users/{alice.uid}")
    support.get(f"/admin/users/{bob.uid}")
    world.clock.advance(LOOK_WINDOW)
    admin.post(f"/admin/users/{alice.uid}/unfreeze", {"reason": "solved"})
    return world, admin, support, alice, bob


def found(town, query):
    _, admin, support, alice, bob = town
    names = {admin.uid: "admin", support.uid: "support", alice.uid: "alice", bob.uid: "bob"}
    asked = query.format(admin=admin.uid, support=support.uid, alice=alice.uid)
    items = admin.get(f"/admin/audit?{asked}").json["items"]
    return [(names[each["actor"]], each["act"], names[each["target"]]) for each in items]


FROZEN, UNFROZEN = ("admin", "freeze", "alice"), ("admin", "unfreeze", "alice")
LOOK, LOOK_AT_BOB = ("support", "look", "alice"), ("support", "look", "bob")


@pytest.mark.parametrize(
    ("query", "records"),
    [
        ("actor={admin}", [UNFROZEN, FROZEN]),
        ("act=freeze", [FROZEN]),
        ("target={alice}", [UNFROZEN, LOOK, FROZEN]),
        ("target={alice}&actor={support}&act=look", [LOOK]),
        ("act=look&actor={admin}", []),
        ("to=2000-01-01", []),
    ],
)
def test_records_are_found_by_their_conditions(town, query, records):
    assert found(town, query) == records


def test_a_page_of_a_filter_continues(town):
    _, admin, _, alice, _ = town
    acts: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = admin.get(f"/admin/audit?target={alice.uid}&limit=1{cursor and f'&cursor={cursor}'}").json
        acts += [each["act"] for each in page["items"]]
        cursor = page["next_cursor"]

    assert acts == ["unfreeze", "look", "freeze"]


def test_records_are_found_by_time_to_the_millisecond(town):
    world, *_ = town
    trail = world.services.users.audit
    whole = trail.page(cursor=None, limit=9).items

    for record in whole:
        within = trail.page(cursor=None, limit=9, wanted=AuditFilter(first=record.at, last=record.at + 1)).items
        assert {each.id for each in within} == {each.id for each in whole if each.at == record.at}
