import re
from itertools import product

import pytest

from functions.http import docs
from functions.http.openapi import document, errors_of
from functions.http.problems import status_of
from functions.http.table import ROUTES
from shared.kernel.documents import StoreUnavailable
from shared.users.ports import Unauthenticated
from tests.api.world import problem
from tests.support.adapters import replace_adapters

PAGES = ["/docs/swagger", "/docs/playground"]


def test_the_root_says_where_to_read_on(world):
    root = world.call("GET", "").json

    assert root["name"] == "Integrated Credit System API"
    for link in root["links"].values():
        assert world.client.get(link).status_code == 200
    assert world.client.get("/").json == world.client.get("/v1/").json == root


@pytest.mark.parametrize("page", PAGES)
def test_a_page_brings_no_code_of_its_own_and_lets_none_in(world, page):
    shown = world.call("GET", page)

    html = shown.get_data(as_text=True)
    policy = dict(part.strip().split(" ", 1) for part in shown.headers["Content-Security-Policy"].split(";"))
    assert shown.mimetype == "text/html"
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=|javascript:|https?://", html) is None
    assert shown.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("page", PAGES)
def test_every_file_of_a_page_is_there(world, page):
    html = world.call("GET", page).get_data(as_text=True)

    names = re.findall(r'(?:src|href)="assets/([^"]+)"', html)

    assert len(names) >= 4
    for name in set(names) - docs.VENDOR_FILES:
        assert world.call("GET", f"/docs/assets/{name}").status_code == 200, name


@pytest.mark.parametrize(
    "name", ["nothing.js", "playground.html", "..%2fapp.py", "app.py", "%2e%2e", "vendor", ".stamp"]
)
def test_no_other_file_is_served(world, name):
    assert problem(world.call("GET", f"/docs/assets/{name}")) == (404, "not_found")


def test_vendor_files_are_served_once_the_set_up_has_put_them_there(world, tmp_path, monkeypatch):
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "firebase-app-compat.js").write_text("// firebase")
    monkeypatch.setattr(docs, "STATIC", tmp_path)

    served = world.call("GET", "/docs/assets/firebase-app-compat.js")

    assert (served.status_code, served.get_data(as_text=True)) == (200, "// firebase")
    assert served.mimetype in {"text/javascript", "application/javascript"}
    assert problem(world.call("GET", "/docs/assets/firebase-auth-compat.js")) == (404, "not_found")


def test_the_playground_signs_in_against_the_configured_project(world, monkeypatch):
    monkeypatch.setenv("FIREBASE_AUTH_EMULATOR_HOST", "127.0.0.1:9099")
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:8080")

    config = world.call("GET", "/docs/playground/config.json").json

    assert config == {
        "project": "demo-memory",
        "api_key": "laptop",
        "auth_domain": "demo-memory.firebaseapp.com",
        "auth_emulator": "127.0.0.1:9099",
        "firestore_emulator": "127.0.0.1:8080",
    }
    policy = world.call("GET", "/docs/playground").headers["Content-Security-Policy"]
    assert "connect-src 'self' http://127.0.0.1:9099 http://127.0.0.1:8080;" in policy


def test_in_production_it_talks_to_google_only(world, monkeypatch):
    monkeypatch.delenv("FIREBASE_AUTH_EMULATOR_HOST", raising=False)
    monkeypatch.delenv("FIRESTORE_EMULATOR_HOST", raising=False)

    policy = world.call("GET", "/docs/playground").headers["Content-Security-Policy"]

    assert "connect-src 'self' https://identitytoolkit.googleapis.com https://securetoken.googleapis.com" in policy
    assert world.call("GET", "/docs/playground/config.json").json["auth_emulator"] is None


@pytest.fixture
def deployed(world, monkeypatch, tmp_path):
    """The API without the files of the pages, as a deployment has it."""
    monkeypatch.setattr(docs, "STATIC", tmp_path)
    return world


@pytest.mark.parametrize("page", [*PAGES, "/docs/playground/config.json"])
def test_page_is_a_clear_404_where_it_is_not_deployed(deployed, page):
    answer = deployed.call("GET", page)

    assert problem(answer) == (404, "not_found")
    assert "/v1/docs/openapi.json" in answer.json["detail"]


def test_deployed_api_describes_and_links_no_pages(deployed):
    described = deployed.call("GET", "/docs/openapi.json").json["paths"]
    links = deployed.call("GET", "").json["links"]

    assert [path for path in described if "playground" in path or "swagger" in path] == []
    assert set(docs_paths(described)) == {"/v1/docs/openapi.json", "/v1/docs/returned", "/v1/docs/verify"}
    assert (links["swagger"], links["playground"]) == (None, None)


def test_deployed_api_serves_the_files_of_the_payer_s_page(deployed):
    for name in docs.PAYER_FILES:
        assert deployed.call("GET", f"/docs/assets/{name}").status_code == 200, name
    assert problem(deployed.call("GET", "/docs/assets/payer.html")) == (404, "not_found")


def docs_paths(described):
    return (path for path in described if path.startswith("/v1/docs/"))


def test_user_who_paid_returns_to_words_without_scripts(deployed):
    shown = deployed.client.get(f"/v1{docs.return_path()}")

    html = shown.get_data(as_text=True)
    assert (shown.status_code, shown.mimetype) == (200, "text/html")
    assert "being settled" in html
    assert re.search(r"<script|<style|<link|<img|href=|src=|https?://", html) is None
    assert shown.headers["Content-Security-Policy"].startswith("default-src 'none';")


def test_monitoring_tells_what_runs_and_whether_it_answers(world):
    assert world.call("GET", "/monitoring/health").json == {"status": "ok"}
    info = world.call("GET", "/monitoring/info").json
    assert (info["project"], info["ledger_id"], info["credits_per_usd"]) == ("demo-memory", "demo-memory", 100)
    status = world.call("GET", "/monitoring/status").json
    assert (status["status"], status["components"]["store"]["status"]) == ("ok", "ok")


def test_a_store_that_is_away_is_said_to_be(world):
    class Away:
        def get(self, path):
            raise StoreUnavailable

    replace_adapters(world.services, documents=Away())

    status = world.call("GET", "/monitoring/status").json

    assert (status["status"], status["components"]["store"]["status"]) == ("degraded", "down")


def test_the_keys_of_the_ledger_are_public(world):
    (key,) = world.call("GET", "/ledger/keys").json["items"]

    assert (key["kid"], key["alg"], key["status"]) == ("memory-1", "Ed25519", "signing")


# The document ----------------------------------------------------------------------------------------------------


def test_every_route_but_the_pages_files_is_in_the_document(world):
    told = world.call("GET", "/docs/openapi.json").json

    listed = {(method.upper(), path) for path, methods in told["paths"].items() for method in methods}
    assert listed == {(route.method, route.path) for route in ROUTES if not route.is_hidden}
    assert told["openapi"] == "3.1.0"


def test_the_document_is_valid_openapi():
    from jsonschema_rs import Draft202012Validator
    from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

    told = document(ROUTES)

    OPENAPI_31_VALIDATOR.validate(told)
    for name in told["components"]["schemas"]:
        Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": told["components"]})


def test_every_operation_is_described():
    told = document(ROUTES)

    for route in (route for route in ROUTES if not route.is_hidden):
        operation = told["paths"][route.path][route.method.lower()]
        assert (operation["operationId"], operation["summary"]) == (route.name, route.summary)
        assert route.summary, route
        assert {"500", "429", str(route.status)} <= operation["responses"].keys()


def test_operations_have_names_of_their_own():
    names = [route.name for route in ROUTES]

    assert len(set(names)) == len(names)


def test_requests_refuse_unknown_fields_and_answers_may_grow():
    schemas = document(ROUTES)["components"]["schemas"]

    assert schemas["ReserveIn"]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["BalanceOut"]


def test_every_error_a_route_names_has_a_status_that_fits():
    for route in ROUTES:
        for error in errors_of(route):
            assert 400 <= status_of(error) < 504, (route, error)
            assert status_of(error) != 500, (route, error)


def test_every_route_that_is_not_public_asks_for_a_token():
    told = document(ROUTES)

    for route in ROUTES:
        if not route.is_hidden:
            operation = told["paths"][route.path][route.method.lower()]
            is_open = route.access.is_public and Unauthenticated not in route.errors
            assert (operation["security"] == []) is is_open
            assert ("401" in operation["responses"]) is not is_open


# ── what people with weak eyes can read (WCAG 2.2, 1.4.3) ────────────────────────────────────────────────────────────

CONTRAST_MIN = 4.5
TEXTS = ("ink", "muted", "faint", "accent", "good", "bad", "warn")
GROUNDS = ("bg", "surface", "raised", "accent-soft")


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [":root {", ':root[data-theme="dark"] {'])
def test_every_text_of_the_pages_stands_out_from_what_is_behind_it(world, theme):
    css = world.call("GET", "/docs/assets/theme.css").get_data(as_text=True)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", css.partition(theme)[2].partition("}")[0]))

    faint = {}
    for text, ground in [*product(TEXTS, GROUNDS), ("accent-ink", "accent")]:
        light, dark = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
        if (light + 0.05) / (dark + 0.05) < CONTRAST_MIN:
            faint[text, ground] = round((light + 0.05) / (dark + 0.05), 2)
    assert faint == {}
