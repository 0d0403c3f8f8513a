from dataclasses import replace
from typing import NoReturn

import pytest

from shared.kernel.documents import OutcomeUnknown, Patch
from shared.kernel.errors import Forbidden, InvalidValue
from shared.kernel.ids import Uid
from shared.ledger.errors import AccountFrozen, InsufficientCredits
from shared.sagas.accounts.operators import AdminExists, EmailNotVerified, OwnRole
from shared.users.audit import AuditRecord
from shared.users.operator_acts import OwnAccount
from shared.users.ports import UserNotFound
from tests.support.faults import Crash, FaultyDocuments
from tests.support.people import CREDIT, People, op


def trail(people: People) -> tuple[AuditRecord, ...]:
    return people.operators.audit(None, 100).items


def test_an_admin_gives_a_role_and_it_is_on_record():
    people = People()
    root, ann = people.operator("admin"), people.user(claims={"plan": "gold"})

    view = people.operators.set_roles(root, ann.uid, frozenset({"support"}), "joins support")

    assert view.roles == {"support"}
    assert people.identity.claims(ann.uid) == {"plan": "gold", "roles": ["support"]}
    now = people.clock.now()
    assert trail(people) == (
        AuditRecord(
            id=trail(people)[0].id,
            at=now,
            actor=root.uid,
            act="set_roles",
            target=ann.uid,
            reason="joins support",
            state="done",
            before={"roles": []},
            after={"roles": ["support"]},
            completed_at=now,
        ),
    )


@pytest.mark.parametrize("roles", [frozenset(), frozenset({"admin"}), frozenset({"admin", "auditor"})])
def test_nobody_changes_their_own_roles(roles: frozenset[str]):
    people = People()
    root = people.operator("admin")

    with pytest.raises(OwnRole):
        people.operators.set_roles(root, root.uid, roles)

    assert people.identity.get_user(root.uid).roles == {"admin"}


def test_there_is_no_role_by_another_name():
    people = People()
    root, ann = people.operator("admin"), people.user()

    with pytest.raises(InvalidValue):
        people.operators.set_roles(root, ann.uid, frozenset({"superuser"}))

    assert trail(people) == ()


def test_only_admins_act():
    people = People()
    ann = people.user()
    for number, role in enumerate([(), ("user",), ("support",), ("auditor",), ("support", "auditor")]):
        actor = people.operator(*role, email=f"op{number}@example.com")

        with pytest.raises(Forbidden):
            people.operators.set_roles(actor, ann.uid, frozenset({"admin"}))
        with pytest.raises(Forbidden):
            people.operators.adjust(actor, ann.uid, CREDIT, "gift", op("a"))
        with pytest.raises(Forbidden):
            people.operators.freeze(actor, ann.uid, "why")
        with pytest.raises(Forbidden):
            people.operators.unfreeze(actor, ann.uid, "why")
        with pytest.raises(Forbidden):
            people.operators.put_model(actor, "m", {})

    assert trail(people) == ()


def test_a_role_that_was_taken_away_does_not_act_though_the_token_still_says_so():
    people = People()
    root, other = people.operator("admin"), people.operator("admin", email="other@example.com")
    people.operators.set_roles(root, other.uid, frozenset())

    with pytest.raises(Forbidden):
        people.operators.adjust(other, root.uid, CREDIT, "gift", op("a"))


@pytest.mark.parametrize("change", [{"auth": "api_key"}, {"is_anonymous": True}])
def test_a_role_belongs_to_a_person_who_signed_in(change: dict):
    people = People()
    root, ann = people.operator("admin"), people.user()

    with pytest.raises(Forbidden):
        people.operators.freeze(replace(root, **change), ann.uid, "why")


def test_a_disabled_admin_does_not_act():
    people = People()
    root, ann = people.operator("admin"), people.user()
    people.identity.disable(root.uid)

    with pytest.raises(Forbidden):
        people.operators.freeze(root, ann.uid, "why")


def test_a_correction_tells_operators_why_and_the_user_a_note():
    people = People()
    root, ann = people.operator("admin"), people.user()

    result = people.operators.adjust(
        root, ann.uid, 5 * CREDIT, " angry caller ", op("a"), note_to_user=" lost in transit "
    )

    (entry,) = people.ledger.history(ann.uid, before=None, limit=5, kinds=None).items
    (record,) = trail(people)
    assert (result.amount, people.ledger.balance(ann.uid).available) == (5 * CREDIT, 5 * CREDIT)
    assert (entry.kind, entry.note) == ("adjustment", "lost in transit")
    assert (record.before, record.after) == (
        {"available": "0", "held": "0", "debt": "0"},
        {"available": "5", "held": "0", "debt": "0", "amount": "5"},
    )
    assert record.reason == "angry caller"
    assert "angry" not in "".join(people.ledger.export(ann.uid))
    assert "lost in transit" in "".join(people.ledger.export(ann.uid)), "the note is the user's own"


def test_correction_of_an_earlier_release_is_told_in_credits():
    people = People()
    root, ann = people.operator("admin"), people.user()
    people.operators.adjust(root, ann.uid, CREDIT, "why", op("a"))
    (record,) = trail(people)
    earlier = {"available": CREDIT // 2, "held": 0, "debt": 0, "amount": -CREDIT // 2, "is_replay": True}
    people.documents.commit([Patch(f"audit/{record.id}", {"after": earlier})])

    (told,) = trail(people)

    assert told.after == {"available": "0.5", "held": "0", "debt": "0", "amount": "-0.5", "is_replay": True}


def test_the_same_correction_corrects_once():
    people = People()
    root, ann = people.operator("admin"), people.user()

    first = people.operators.adjust(root, ann.uid, 5 * CREDIT, "why", op("a"))
    again = people.operators.adjust(root, ann.uid, 5 * CREDIT, "why", op("a"))

    assert again == first
    assert people.ledger.balance(ann.uid).available == 5 * CREDIT
    assert sorted("is_replay" in (record.after or {}) for record in trail(people)) == [False, True]


def test_a_correction_needs_an_amount_and_a_reason():
    people = People()
    root, ann = people.operator("admin"), people.user()

    with pytest.raises(InvalidValue):
        people.operators.adjust(root, ann.uid, 0, "why", op("a"))
    with pytest.raises(InvalidValue):
        people.operators.adjust(root, ann.uid, CREDIT, "  ", op("a"))
    with pytest.raises(InvalidValue):
        people.operators.adjust(root, ann.uid, CREDIT, "x" * 501, op("a"))

    assert people.ledger.balance(ann.uid).available == 0


def test_a_refused_act_is_on_record_as_refused():
    people = People()
    root, ann = people.operator("admin"), people.user()

    with pytest.raises(InsufficientCredits):
        people.operators.adjust(root, ann.uid, -CREDIT, "why", op("a"))

    (record,) = trail(people)
    assert (record.state, record.code, record.after) == ("refused", "insufficient_credits", None)


def test_credit_to_oneself_is_refused_and_on_record():
    people = People()
    root = people.operator("admin")

    with pytest.raises(OwnAccount):
        people.operators.adjust(root, root.uid, CREDIT, "a gift", op("a"))

    (record,) = trail(people)
    assert (record.act, record.state, record.code) == ("adjust", "refused", "own_account")
    assert people.ledger.balance(root.uid).available == 0


def test_a_second_admin_may_credit_the_first():
    people = People()
    root, other = people.operator("admin"), people.operator("admin")

    people.operators.adjust(other, root.uid, CREDIT, "a correction", op("a"))

    assert people.ledger.balance(root.uid).available == CREDIT


def test_an_admin_may_take_from_and_freeze_the_own_account():
    people = People()
    root, other = people.operator("admin"), people.operator("admin")
    people.operators.adjust(other, root.uid, 2 * CREDIT, "a correction", op("a"))

    people.operators.adjust(root, root.uid, -CREDIT, "too much", op("b"))
    frozen = people.operators.freeze(root, root.uid, "my key was stolen")

    assert (frozen.status, people.ledger.balance(root.uid).available) == ("frozen", CREDIT)
    with pytest.raises(OwnAccount):
        people.operators.unfreeze(root, root.uid, "found")
    assert people.operators.unfreeze(other, root.uid, "found").status == "open"


def test_freezing_stops_spending_and_can_be_undone():
    people = People()
    root, ann = people.operator("admin"), people.user()
    people.grant(ann.uid, 10)

    frozen = people.operators.freeze(root, ann.uid, "chargeback")
    with pytest.raises(AccountFrozen), people.ledger.holding(ann.uid, CREDIT, operation=op("h"), expected_step=CREDIT):
        pass
    open_again = people.operators.unfreeze(root, ann.uid, "cleared")

    assert (frozen.status, open_again.status) == ("frozen", "open")
    assert {(r.act, str(r.before), str(r.after)) for r in trail(people)} == {
        ("freeze", "{'status': 'open'}", "{'status': 'frozen'}"),
        ("unfreeze", "{'status': 'frozen'}", "{'status': 'open'}"),
    }


def test_a_changed_model_is_on_record_before_and_after():
    people = People()
    root = people.operator("admin")
    people.operators.put_model(root, "m", {"input_usd_per_mtok": "1"})
    people.clock.advance(1)

    people.operators.put_model(root, "m", {"input_usd_per_mtok": "2"}, "new price list")

    newest = trail(people)[0]
    assert (newest.target, newest.before, newest.after) == (
        "m",
        {"input_usd_per_mtok": "1"},
        {"input_usd_per_mtok": "2"},
    )


@pytest.mark.parametrize("act", ["set_roles", "adjust", "freeze"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_leaves_a_visible_unfinished_record(act: str, when):
    people = People()
    root, ann = people.operator("admin"), people.user()
    crashing = people.again(FaultyDocuments(people.documents, at=2, when=when)).operators
    acts = {
        "set_roles": lambda: crashing.set_roles(root, ann.uid, frozenset({"support"})),
        "adjust": lambda: crashing.adjust(root, ann.uid, CREDIT, "why", op("a")),
        "freeze": lambda: crashing.freeze(root, ann.uid, "why"),
    }

    with pytest.raises(Crash):
        acts[act]()

    (record,) = trail(people)
    assert (record.act, record.state) == (act, "begun")


def test_nothing_is_done_that_could_not_be_recorded():
    people = People()
    root, ann = people.operator("admin"), people.user()
    crashing = people.again(FaultyDocuments(people.documents, at=1)).operators

    with pytest.raises(Crash):
        crashing.set_roles(root, ann.uid, frozenset({"support"}))

    assert people.identity.get_user(ann.uid).roles == frozenset()


def test_an_unclear_outcome_leaves_the_record_open():
    people = People()
    root = people.operator("admin")

    def unclear(model_id: str, fields: object, expected: object) -> NoReturn:
        raise OutcomeUnknown

    people.operators._put_model = unclear
    with pytest.raises(OutcomeUnknown):
        people.operators.put_model(root, "m", {})

    assert [record.state for record in trail(people)] == ["begun"]


def test_a_user_is_found_by_id():
    people = People()
    ann = people.user(name="Ann", claims={"roles": ["support"]})
    people.grant(ann.uid, 3)

    found = people.operators.user(ann.uid)

    assert (found.email, found.display_name) == ("ann@example.com", "Ann")
    assert found.roles == {"support"}
    assert (found.status, found.balance.available) == ("open", 3 * CREDIT)


@pytest.mark.parametrize("uid", ["nobody", "", "../x", "a/b", "x" * 200])
def test_nobody_is_not_found(uid: str):
    people = People()
    root = people.operator("admin")

    with pytest.raises(UserNotFound):
        people.operators.user(Uid(uid))
    with pytest.raises(UserNotFound):
        people.operators.set_roles(root, Uid(uid), frozenset({"support"}))
    with pytest.raises(UserNotFound):
        people.operators.adjust(root, Uid(uid), CREDIT, "why", op("a"))
    with pytest.raises(UserNotFound):
        people.operators.freeze(root, Uid(uid), "why")


def test_who_has_left_can_still_be_looked_up():
    people = People()
    ann = people.user()
    people.leaving.leave(ann.uid)

    view = people.operators.user(ann.uid)

    assert (view.status, view.email, view.balance.status) == ("closed", None, "closed")


def test_the_trail_is_read_newest_first_page_by_page():
    people = People()
    root, ann = people.operator("admin"), people.user()
    for number in range(5):
        people.operators.adjust(root, ann.uid, CREDIT, f"reason {number}", op(str(number)))
        people.clock.advance(1)

    first = people.operators.audit(None, 2)
    second = people.operators.audit(first.next_cursor, 2)
    last = people.operators.audit(second.next_cursor, 2)

    assert [[r.reason for r in page.items] for page in (first, second, last)] == [
        ["reason 4", "reason 3"],
        ["reason 2", "reason 1"],
        ["reason 0"],
    ]
    assert last.next_cursor is None


@pytest.mark.parametrize("cursor", ["../accounts", "a/b", "", "\ud800"])
def test_a_cursor_that_we_never_gave_is_refused(cursor: str):
    with pytest.raises(InvalidValue):
        People().operators.audit(cursor, 2)


def test_the_first_admin_is_made_once():
    people = People()
    ann, bob = people.user(), people.user("bob@example.com")

    uid = people.operators.first_admin("ann@example.com")

    assert uid == ann.uid
    assert people.identity.get_user(uid).roles == {"admin"}
    with pytest.raises(AdminExists):
        people.operators.first_admin("bob@example.com")
    assert people.operators.first_admin("bob@example.com", is_forced=True) == bob.uid
    assert sorted((r.actor, r.reason) for r in trail(people) if r.reason) == [("command:first-admin", "forced")]


def test_the_first_admin_has_shown_that_the_address_is_theirs():
    people = People()
    people.user(is_email_verified=False)

    with pytest.raises(EmailNotVerified):
        people.operators.first_admin("ann@example.com")
    with pytest.raises(UserNotFound):
        people.operators.first_admin("nobody@example.com")

    assert people.operators.first_admin("ann@example.com", is_verification_needed=False)
