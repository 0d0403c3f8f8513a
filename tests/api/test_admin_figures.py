"""Key figures, cohorts and versions of prices, as operators read them."""

import csv
import io
from dataclasses import replace
from decimal import Decimal

import pytest

from shared.kernel.clock import DAY, to_datetime
from shared.kernel.documents import Patch
from shared.ledger.about import about
from shared.ledger.log.figure_documents import day_figures_path
from shared.ledger.log.position import position_path
from tests.api.world import problem
from tests.support.ledgers import grant

BOUGHT = replace(grant("bought", 7, source="world:stripe", is_paid=True), about=about("purchase", money="in:4900:EUR"))
PATHS = ("/admin/kpis", "/admin/cohorts", "/admin/liability", "/admin/money", "/admin/sign-ups")
MODEL = {
    "kind": "chat",
    "output_usd_per_mtok": "2",
    "context_window": 8192,
    "max_output_tokens": 1024,
}


@pytest.fixture
def today(world, alice):
    """A day on which somebody used a model, counted."""
    assert alice.post("/chat/conversations", {"message": "Hello"}).status_code == 201
    world.services.jobs.run_schedule("every_minute")
    return to_datetime(world.clock.now()).date().isoformat()


def test_kpis_tell_what_was_granted_and_spent(world, alice, today):
    told = world.person("auditor").get(f"/admin/kpis?from={today}&to={today}").json

    spent = alice.get(f"/credits/analytics?from={today}&to={today}").json["total"]
    assert told["is_whole"] is True
    assert told["size"] >= 2
    assert told["total"]["spent"] == spent["cost"]
    assert float(told["total"]["liability"]) == pytest.approx(float(spent["granted"]) - float(spent["cost"]))
    assert sum(map(float, told["total"]["granted"].values())) == float(spent["granted"])
    item = {"start": today, "made_of": f"/v1/admin/books/{today}", "active": told["items"][0]["active"]}
    assert told["items"] == [{**told["total"], **item}]
    assert told["items"][0]["active"] >= 1


def test_uses_name_model_version_and_margin(world, today):
    use = world.person("admin").get(f"/admin/kpis?from={today}&to={today}").json["total"]["uses"][0]

    assert (use["kind"], use["price_version"], use["markup_percent"], use["count"]) == ("chat", "1", "0", 1)
    assert use["model"]
    assert float(use["revenue_usd"]) == pytest.approx(float(use["spent"]) / 100, abs=1e-6)
    assert use["margin_usd"] == "0.000000"


def test_days_without_entries_have_empty_figures(world, today):
    told = world.person("support").get(f"/admin/kpis?to={today}").json

    assert len(told["items"]) == 30
    assert told["items"][0]["spent"] == "0"
    assert told["items"][0]["uses"] == []


def test_kpis_and_cohorts_are_tables_for_spreadsheets(world, today):
    auditor = world.person("auditor")

    kpis = list(csv.DictReader(io.StringIO(auditor.get(f"/admin/kpis?from={today}&to={today}&format=csv").text)))
    cohorts = list(csv.DictReader(io.StringIO(auditor.get(f"/admin/cohorts?from={today}&to={today}&format=csv").text)))

    assert [row["start"] for row in kpis] == [today]
    assert float(kpis[0]["spent"]) > 0
    assert [row["cohort"] for row in cohorts] == [""]


def test_liability_equals_the_accounts_and_names_bought_credits(world, alice, today):
    world.services.credits.ledger.execute(alice.uid, grant("bought", 7, source="world:stripe", is_paid=True))
    world.services.jobs.run_schedule("every_minute")
    auditor = world.person("auditor")

    told = auditor.get(f"/admin/liability?from={today}&to={today}").json
    day, opening = told["items"][0], told["opening"]

    account = alice.get("/credits/balance").json
    held = Decimal(account["available"]) + Decimal(account["held"])
    assert opening == {"paid": "0", "promotional": "0", "total": "0", "debt": "0"}
    assert (Decimal(day["paid"]), Decimal(day["total"])) == (Decimal("0.000007"), held)
    assert Decimal(day["promotional"]) == held - Decimal("0.000007")
    assert day["grown"]["grant"]["paid"] == "0.000007"
    assert Decimal(day["grown"]["charge"]["promotional"]) < 0
    assert told["is_whole"] is True


def test_liability_goes_on_from_the_days_before(world, alice, today):
    world.clock.advance(40 * DAY)
    later = to_datetime(world.clock.now()).date().isoformat()
    auditor = world.person("auditor")

    first = auditor.get(f"/admin/liability?from={today}&to={later}").json
    last = auditor.get(f"/admin/liability?from={later}&to={later}").json
    table = auditor.get(f"/admin/liability?from={today}&to={later}&format=csv").text

    assert last["items"][0] == {**first["items"][-1], "grown": {}}
    assert last["opening"]["total"] == first["items"][0]["total"]
    columns = ("start", "paid", "promotional", "total", "debt")
    told = [{name: each[name] for name in columns} for each in first["items"]]
    assert list(csv.DictReader(io.StringIO(table))) == told


def test_accounts_are_compared_with_the_figures_each_night(world, alice, today):
    world.services.jobs.run_schedule("every_day")
    path = position_path(alice.uid)
    document = world.services.ports.documents().get(path)
    state = {**document.data["state"], "figured_lots": '[1,0,{"lot":true}]'}
    world.services.ports.documents().commit([Patch(path, {"state": state}, document.version)])
    before = figures_alerts(world)

    world.clock.advance(DAY)
    world.services.jobs.run_schedule("every_day")

    assert (before, figures_alerts(world)) == ([], ["accounts"])


def figures_alerts(world) -> list[str]:
    raised = world.services.ports.alerts().raised
    return [each.fields["sums"] for each in raised if each.event == "figures_differ"]


def test_money_is_told_by_provider_and_currency(world, alice, today):
    world.services.credits.ledger.execute(alice.uid, BOUGHT)
    world.services.jobs.run_schedule("every_minute")
    auditor = world.person("auditor")

    row = {"provider": "stripe", "currency": "EUR", "payments": 1, "came_in": "49.00", "went_out": "0.00"}
    told = {**row, "came_back": "0.00"}
    assert auditor.get(f"/admin/money?from={today}&to={today}").json["items"] == [{"start": today, **told}]
    assert auditor.get(f"/admin/kpis?from={today}&to={today}").json["total"]["money"] == [told]


def test_sign_ups_show_the_way_to_bonus_purchase_and_use(world, alice, today):
    world.services.credits.ledger.execute(alice.uid, BOUGHT)
    world.services.credits.ledger.execute(alice.uid, grant("welcome", 5))
    world.services.users.greeting.greet(alice.uid)
    world.services.jobs.run_schedule("every_minute")

    told = world.person("auditor").get(f"/admin/sign-ups?from={today}&to={today}").json["items"]

    numbers = {"signed_up": 1, "signed_up_anonymous": 0, "bonuses": 1, "buyers": 1, "spenders": 1}
    assert told == [{"start": today, "month": today[:7], **numbers}]


@pytest.mark.parametrize("path", PATHS)
def test_tables_equal_the_answers(world, alice, today, path):
    world.clock.advance(40 * DAY)
    world.services.credits.ledger.execute(alice.uid, BOUGHT)
    world.services.jobs.run_schedule("every_minute")
    auditor = world.person("auditor")

    items = auditor.get(f"{path}?from={today}&bucket=month").json["items"]
    table = list(csv.DictReader(io.StringIO(auditor.get(f"{path}?from={today}&bucket=month&format=csv").text)))

    assert table
    assert table == [{name: "" if item[name] is None else str(item[name]) for name in table[0]} for item in items]


@pytest.mark.parametrize("name", ["kpis", "liability"])
def test_months_lead_to_their_days(world, alice, today, name):
    month = world.person("auditor").get(f"/admin/{name}?from={today}&to={today}&bucket=month").json["items"][0]

    path = month["made_of"].removeprefix("/v1")
    days = world.person("auditor").get(path).json["items"]

    assert path == f"/admin/{name}?from={today}&to={today}&bucket=day"
    assert [each["made_of"] for each in days] == [f"/v1/admin/books/{today}"]


def test_months_count_an_account_once(world, alice, today):
    world.clock.advance(DAY)
    world.services.credits.ledger.execute(alice.uid, grant("later", 5))
    world.services.jobs.run_schedule("every_minute")
    last = to_datetime(world.clock.now()).date().isoformat()
    auditor = world.person("auditor")

    days = auditor.get(f"/admin/kpis?from={today}&to={last}").json
    months = auditor.get(f"/admin/kpis?from={today}&to={last}&bucket=month").json

    assert days["total"]["active"] is None
    assert sum(each["active"] for each in days["items"]) > sum(each["active"] for each in months["items"])
    assert days["total"]["spent"] == months["total"]["spent"]


def test_figures_that_cannot_be_read_are_said_so(world, today):
    world.services.credits.figure_count.begin_again()
    world.services.jobs.run_schedule("every_day")
    world.services.ports.documents().commit([Patch(day_figures_path(today), {"figures": "{"})])

    assert problem(world.person("auditor").get(f"/admin/kpis?from={today}&to={today}")) == (409, "figures_broken")


@pytest.mark.parametrize(("role", "status"), [("user", 403), ("support", 200), ("auditor", 200), ("admin", 200)])
@pytest.mark.parametrize("path", PATHS)
def test_figures_are_for_operators(world, path, role, status):
    assert world.person(role).get(path).status_code == status


@pytest.mark.parametrize("query", ["from=2026-02-30", "from=2026-02-02&to=2026-02-01", "bucket=week", "format=xml"])
def test_a_period_that_is_none_is_refused(admin, query):
    assert problem(admin.get(f"/admin/kpis?{query}"))[0] in {400, 422}


def test_prices_of_all_versions_are_kept(admin):
    for price in ("1", "3", "3", "2"):
        assert admin.call("PUT", "/admin/models/new", body={**MODEL, "input_usd_per_mtok": price}).status_code == 200

    told = admin.get("/admin/models/new/prices").json["items"]

    assert [(each["price_version"], each["input_usd_per_mtok"]) for each in told] == [(3, "2"), (2, "3"), (1, "1")]
    assert all(each["stored_at"] for each in told)
