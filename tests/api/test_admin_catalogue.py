"""What operators put on sale, as lists and one by one: an answer can be sent back, an old one changes nothing."""

import pytest

from shared.kernel.documents import Put
from tests.api.test_payments import PACKAGE
from tests.api.world import MODEL, problem

FULL_MODEL = {
    **MODEL,
    "upstream": "default",
    "upstream_model": "small-1",
    "cached_input_usd_per_mtok": "0.075",
    "context_tiers": [{"above_input_tokens": 4_096, "input_usd_per_mtok": "0.3", "output_usd_per_mtok": "1.2"}],
    "quality": 3,
    "speed": 8,
    "image_tokens": {"base": 85, "tile": 170},
}
PAINTER = {
    "kind": "image",
    "display_name": "Painter",
    "image_usd": "0.04",
    "image_usd_by_size": {"1024x1024": "0.04"},
    "image_usd_by_quality": {"high": {"1024x1024": "0.08"}},
}
MODELS = {"full": FULL_MODEL, "least": MODEL, "painter": PAINTER, "off": {**MODEL, "is_enabled": False}}
PACKAGES = {
    "full": {**PACKAGE, "per_user_limit": 2, "position": 7},
    "no bonus": {"title": "Small", "price": "1.00", "currency": "USD", "credits": "10"},
    "off, in yen": {**PACKAGE, "price": "1000", "currency": "JPY", "enabled": False},
}
PUTS = [("models", MODELS["full"]), ("packages", PACKAGES["full"])]


@pytest.mark.parametrize("kind_and_body", [("models", each) for each in MODELS.values()], ids=MODELS.keys())
def test_an_answer_of_a_model_can_be_put_back(admin, kind_and_body):
    _, body = kind_and_body
    assert_round_trip(admin, "/admin/models/new", body)


@pytest.mark.parametrize("body", PACKAGES.values(), ids=PACKAGES.keys())
def test_an_answer_of_a_package_can_be_put_back(admin, body):
    assert_round_trip(admin, "/admin/packages/new", body)


def assert_round_trip(admin, path, body):
    assert admin.call("PUT", path, body=body).status_code == 200
    told = admin.get(path)

    again = admin.call("PUT", path, body=told.json, headers={"If-Match": told.headers["ETag"]})

    assert again.status_code == 200, again.json
    changed = {"version", "etag"}
    assert {n: v for n, v in again.json.items() if n not in changed} == {
        n: v for n, v in told.json.items() if n not in changed
    }
    assert admin.get(path).json == again.json
    assert admin.get(path).headers["ETag"] == again.headers["ETag"] == f'"{again.json["etag"]}"'


@pytest.mark.parametrize(("kind", "body"), PUTS)
def test_a_stale_version_changes_nothing(admin, kind, body):
    path = f"/admin/{kind}/new"
    read = admin.call("PUT", path, body=body).headers["ETag"]
    other = {"input_usd_per_mtok": "9"} if kind == "models" else {"price": "99.00"}
    assert admin.call("PUT", path, body={**body, **other}, headers={"If-Match": read}).status_code == 200
    before = admin.get(path).json

    stale = admin.call("PUT", path, body=body, headers={"If-Match": read})

    assert problem(stale) == (412, "version_changed")
    assert admin.get(path).json == before
    acts = admin.get("/admin/audit").json["items"]
    assert [each["code"] for each in acts if each["state"] == "refused"] == ["version_changed"]


@pytest.mark.parametrize(("kind", "body"), PUTS)
@pytest.mark.parametrize(("match", "status"), [("*", 412), ('"x"', 412), ("nonsense,,", 412), ("", 412), (None, 200)])
def test_a_version_of_something_new_is_stale(admin, kind, body, match, status):
    headers = {} if match is None else {"If-Match": match}

    assert admin.call("PUT", f"/admin/{kind}/new", body=body, headers=headers).status_code == status


@pytest.mark.parametrize(("kind", "body"), PUTS)
def test_one_of_several_versions_is_enough(admin, kind, body):
    path = f"/admin/{kind}/new"
    tag = admin.call("PUT", path, body=body).headers["ETag"]

    assert admin.call("PUT", path, body=body, headers={"If-Match": f'"x", {tag}'}).status_code == 200
    assert admin.call("PUT", path, body=body, headers={"If-Match": "*"}).status_code == 200


@pytest.mark.parametrize(("kind", "body"), PUTS)
def test_a_body_that_names_another_id_is_refused(admin, kind, body):
    assert problem(admin.call("PUT", f"/admin/{kind}/new", body={**body, "id": "old"})) == (422, "invalid_request")


@pytest.mark.parametrize(
    "change",
    [
        {"price": {"amount": "9.99"}},
        {"price": {"amount": 9.99, "currency": "USD"}, "currency": None},
        {"price": {"amount": "9.99", "currency": "EUR"}, "currency": "USD"},
        {"price": {"amount": "9.99", "currency": "EUROS"}},
        {"price": {"amount": "1" * 17, "currency": "USD"}},
        {"price": 9.99},
        {"price": None},
        {"price": {"amount": "9.99", "currency": "USD", "more": 1}},
    ],
)
def test_a_price_is_an_amount_of_one_currency(admin, change):
    assert problem(admin.call("PUT", "/admin/packages/p", body={**PACKAGE, **change})) == (422, "invalid_request")


def test_a_price_without_a_currency_is_refused(admin):
    body = {name: value for name, value in PACKAGE.items() if name != "currency"}

    assert problem(admin.call("PUT", "/admin/packages/p", body=body)) == (422, "invalid_request")


def test_all_models_are_listed_with_dollars_and_upstreams(world, admin):
    admin.call("PUT", "/admin/models/off", body={**FULL_MODEL, "is_enabled": False})
    world.services.ports.documents().commit([Put("models/broken", {"kind": "chat", "display_name": None})])

    told = {item["id"]: item for item in admin.get("/admin/models").json["items"]}

    assert list(told) == ["broken", "gpt-4o-mini", "off"]
    assert told["off"] == admin.get("/admin/models/off").json
    assert (told["off"]["input_usd_per_mtok"], told["off"]["upstream_model"]) == ("0.15", "small-1")


def test_all_packages_are_listed_in_their_order(admin):
    admin.call("PUT", "/admin/packages/later", body={**PACKAGE, "position": 2})
    admin.call("PUT", "/admin/packages/off", body={**PACKAGE, "position": 1, "enabled": False})

    told = admin.get("/admin/packages").json["items"]

    assert [(item["id"], item["enabled"]) for item in told] == [("off", False), ("later", True)]
    assert told[0] == admin.get("/admin/packages/off").json


@pytest.mark.parametrize("path", ["/admin/models", "/admin/packages"])
@pytest.mark.parametrize(("role", "status"), [("user", 403), ("support", 200), ("auditor", 200)])
def test_lists_are_for_operators(world, path, role, status):
    assert world.person(role).get(path).status_code == status


def test_a_browser_may_send_and_read_versions(world):
    origin = {"Origin": "http://localhost:3000"}
    asked = {**origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "if-match"}

    allowed = world.call("OPTIONS", "/admin/models/new", headers=asked).headers
    exposed = world.call("GET", "/ledger/keys", headers=origin).headers

    assert "If-Match" in allowed.get("Access-Control-Allow-Headers", "")
    assert "ETag" in exposed.get("Access-Control-Expose-Headers", "")


@pytest.mark.parametrize(("price", "currency"), [("12.345", "USD"), ("100.50", "KRW"), ("0", "USD"), ("x", "USD")])
def test_price_that_is_no_amount_is_refused_by_the_name_of_its_field(admin, price, currency):
    body = {"title": "t", "price": price, "currency": currency, "credits": "10"}

    refused = admin.call("PUT", "/admin/packages/p", body=body)

    assert (refused.status_code, list(refused.json["errors"])) == (422, ["price"])
