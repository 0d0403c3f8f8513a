"""What operators' commands say: an account in words, switched models, and prices with their changes."""

import pytest

from functions.commands import main
from shared.kernel.documents import Patch
from shared.kernel.ids import Uid
from shared.kernel.money import Micro
from shared.ledger.account_documents import account_path, state_path
from shared.ledger.store import entry_path
from tests.api.world import CREDIT, MODEL, Person, World
from tests.operating.test_walks import bought, stripe
from tests.support.shop import ENVIRONMENT


@pytest.fixture
def world() -> World:
    return World(env=ENVIRONMENT)


@pytest.fixture
def ann(world: World) -> Person:
    return world.person(email="ann@example.com", credits_=10)


def said(world: World, capsys, *arguments: str) -> list[str]:
    capsys.readouterr()
    assert main(arguments, world.services) == 0
    return [line.strip() for line in capsys.readouterr().out.splitlines() if not line.startswith("{")]


def refused(world: World, capsys, *arguments: str) -> str:
    assert main(arguments, world.services) == 1
    return str(capsys.readouterr().err)


def test_an_account_tells_its_sums_holds_and_entries(world: World, ann: Person, capsys):
    ann.post("/chat/conversations", {"message": "Hello"})
    held = ann.post("/credits/reserve", {"amount": "2"}).json["id"]

    told = said(world, capsys, "explain", "ann@example.com")

    assert told[:4] == [
        f"Account {ann.uid}: 7.99958 credits can be spent.",
        "2 more are set aside, and 0 are owed.",
        "The account is open.",
        "The chain of 4 entries is intact, and its sum is this balance.",
    ]
    (hold,) = (line for line in told if line.startswith("2: Reservation"))
    assert held in hold
    assert "ends by itself at 2026-09-21 14:28:20" in hold
    assert told[told.index("All entries that moved credits, newest first:") + 1 :][:2] == [
        next(line for line in told if "-0.00042  Chat · gpt-4o-mini" in line and "12 input tokens, 4 output" in line),
        next(line for line in told if "+10  Bonus" in line and line.endswith("→ 10 to spend")),
    ]


def test_only_so_many_entries_are_shown_as_were_asked_for(world: World, ann: Person, capsys):
    for _ in range(3):
        ann.post("/chat/conversations", {"message": "Hello"})

    told = said(world, capsys, "explain", "--entries", "2", str(ann.uid))

    assert "The last 2 entries, newest first:" in told
    assert sum(line.startswith("#") for line in told) == 2


def test_a_disputed_payment_is_told_with_its_hold_and_its_state(world: World, ann: Person, capsys):
    payment = bought(world, ann)
    world.services.payments.settlement.settle(payment)
    stripe(world).dispute(payment)
    world.services.payments.settlement.settle(payment)

    told = said(world, capsys, "explain", "ann@example.com")

    assert [line for line in told if line.startswith(payment)] == [f"{payment}  disputed  10.00 USD"]
    assert any("stays until the dispute ends" in line for line in told)


def test_a_frozen_account_and_a_debt_are_told(world: World, ann: Person, capsys):
    payment = bought(world, ann)
    world.services.payments.settlement.settle(payment)
    total = Micro(int(world.services.credits.ledger.balance(ann.uid).available) - CREDIT)
    ann.post("/credits/reserve", {"amount": str(total // CREDIT), "ttl_seconds": 60})
    admin = world.person("admin")
    assert admin.post(f"/admin/users/{ann.uid}/freeze", {"reason": "odd"}).status_code == 200

    told = said(world, capsys, "explain", "ann@example.com")

    assert "The account is frozen: nothing can be spent." in told


def test_a_user_who_left_is_found_by_uid(world: World, ann: Person, capsys):
    ann.get("/me")
    world.services.leaving.leave(ann.uid)

    told = said(world, capsys, "explain", str(ann.uid))

    assert told[0] == f"Account {ann.uid}: 0 credits can be spent."
    assert "The account is closed: its user has left." in told


@pytest.mark.parametrize("who", ["nobody@example.com", "nobody", "", "a/b", " "])
def test_nobody_is_told_as_such(world: World, capsys, who: str):
    assert "user_not_found" in refused(world, capsys, "explain", "--", who)


@pytest.mark.parametrize("entries", ["0", "-1", "1001"])
def test_a_number_of_entries_has_bounds(world: World, ann: Person, capsys, entries: str):
    assert "entries" in refused(world, capsys, "explain", f"--entries={entries}", "ann@example.com")


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        (state_path, "state", "x"),
        (state_path, "seal", "x"),
        (account_path, "available", "99"),
        (lambda uid: entry_path(uid, 1), "hash", "x"),
    ],
)
def test_a_broken_account_tells_its_faults_and_explains_nothing(world, ann, capsys, path, field: str, value: str):
    world.services.ports.documents().commit([Patch(path(ann.uid), {field: value})])

    told = said(world, capsys, "explain", "ann@example.com")

    assert told[0].startswith(f"Account {ann.uid}: THE CHAIN IS BROKEN")
    assert len(told) > 1
    assert all(line.startswith("entry ") for line in told[1:])


def test_a_look_at_an_account_is_on_record(world: World, ann: Person, capsys):
    said(world, capsys, "explain", "ann@example.com")

    (record,) = world.services.users.audit.page(cursor=None, limit=9).items
    assert (record.actor, record.act, record.target) == ("command:explain", "explain_account", ann.uid)


def test_a_model_is_switched_without_losing_a_field(world: World, capsys):
    before = world.services.models.catalogue.read("gpt-4o-mini")

    said(world, capsys, "model-off", "gpt-4o-mini", "down")
    off = [model.id for model in world.services.models.catalogue.enabled()]
    said(world, capsys, "model-on", "gpt-4o-mini", "well")

    assert off == []
    after = world.services.models.catalogue.read("gpt-4o-mini")
    assert {**(after or {}), "is_enabled": None} == {**(before or {}), "is_enabled": None}
    reasons = [record.reason for record in world.services.users.audit.page(cursor=None, limit=9).items]
    assert sorted(map(str, reasons)) == ["down", "well"]


@pytest.mark.parametrize("command", ["model-off", "model-on"])
def test_a_model_that_is_not_there_is_not_switched(world: World, capsys, command: str):
    assert "model_not_found" in refused(world, capsys, command, "none", "why")


def test_prices_are_shown_with_their_changes_alone(world: World, capsys):
    admin = world.person("admin")
    for price in ("0.6", "0.8", "0.8"):
        assert admin.call("PUT", "/admin/models/gpt-4o-mini", body={**MODEL, "output_usd_per_mtok": price}).status_code
        world.clock.advance(1_000)

    told = said(world, capsys, "model-prices", "gpt-4o-mini")

    assert told[:2] == ["input_usd_per_mtok: 0.15", "output_usd_per_mtok: 0.8"]
    changes = told[told.index("Changes, newest first:") + 1 :]
    assert [line.partition("  ")[2] for line in changes] == [f"output_usd_per_mtok: 0.6 → 0.8, by {admin.uid}"]


def test_a_price_of_pictures_is_shown_without_tokens(world: World, capsys):
    world.services.models.catalogue.put("p", {"kind": "image", "image_usd": "0.04"})

    told = said(world, capsys, "model-prices", "p")

    assert told[0] == "image_usd: 0.04"
    assert not [line for line in told if "tokens" in line]


def test_an_odd_uid_is_a_uid(world: World, capsys):
    world.identity.sign_up("odd@example.com", uid="auth0|a b")
    world.services.credits.ledger.open(Uid("auth0|a b"))

    assert said(world, capsys, "explain", "auth0|a b")[0].startswith("Account auth0|a b: 0 credits")
