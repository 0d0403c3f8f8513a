"""API keys: what they may do, what they never may, what they cost, and that a leaked database gives none away."""

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from functions.http.app import create_app
from functions.http.table import ROUTES
from shared.bootstrap import in_memory
from shared.kernel.clock import DAY, HOUR, MINUTE, SECOND, SystemClock, rfc3339
from shared.kernel.ids import operation_id
from shared.ledger.commands import Freeze
from shared.users.principal import SCOPES
from tests.api.world import Person, World, problem

FAR = "2030-01-01T00:00:00Z"


def made(person, **wanted):
    return person.post("/api-keys", {"name": "server", "scopes": ["chat"], **wanted})


def said(person, **body):
    """A message in a new conversation."""
    return person.post("/chat/conversations", {"message": "Hello", **body})


def test_a_key_is_shown_once_and_then_by_its_ends(world, alice):
    cap = {"amount": "12.5", "period": "day"}
    new = made(alice, scopes=["read", "chat"], spend_cap=cap, expires_at=FAR)

    assert new.status_code == 201
    shown = new.json
    key = shown.pop("key")
    (listed,) = alice.get("/api-keys").json["items"]
    assert listed == shown
    assert shown.pop("id").startswith("key_")
    assert shown.pop("created_at") == rfc3339(world.clock.now())
    assert shown.pop("spend_cap")["resets_at"].endswith("T00:00:00.000Z")
    assert shown == {
        "name": "server",
        "prefix": "ics_",
        "last_four": key[-4:],
        "scopes": ["chat", "read"],
        "expires_at": "2030-01-01T00:00:00.000Z",
        "last_used_at": None,
    }
    assert key not in alice.get("/api-keys").get_data(as_text=True)


def test_a_key_is_used_where_a_token_is(alice):
    server = alice.key("chat", "read")

    answered = said(server)

    assert answered.status_code == 201
    assert server.get("/credits/balance").json["available"] == answered.headers["X-Credits-Available"]
    assert server.get(f"/chat/conversations/{answered.json['id']}").status_code == 200


def test_what_a_key_spends_is_told_as_its_own(world, alice):
    server = alice.key("chat")
    said(server)

    (key,) = alice.get("/api-keys").json["items"]
    (hold,) = [
        entry
        for entry in map(json.loads, alice.get("/credits/export").get_data(as_text=True).splitlines())
        if '"kind":"hold"' in str(entry.get("body", entry))
    ]
    assert f"key:{key['id']}" in json.dumps(hold)


# Scopes ----------------------------------------------------------------------------------------------------------

FOR_KEYS = {
    ("GET", "/v1/credits/balance"): {"read"},
    ("GET", "/v1/credits/history"): {"read"},
    ("GET", "/v1/credits/entries/{seq}"): {"read"},
    ("GET", "/v1/credits/entries/{seq}/proof"): {"read"},
    ("GET", "/v1/credits/holds"): {"read"},
    ("GET", "/v1/credits/export"): {"read"},
    ("GET", "/v1/credits/analytics"): {"read"},
    ("GET", "/v1/models/analytics"): {"read"},
    ("POST", "/v1/chat/conversations"): {"chat"},
    ("GET", "/v1/chat/conversations"): {"chat", "read"},
    ("GET", "/v1/chat/conversations/{id}"): {"chat", "read"},
    ("GET", "/v1/chat/conversations/{id}/messages"): {"chat", "read"},
    ("PATCH", "/v1/chat/conversations/{id}"): {"chat"},
    ("DELETE", "/v1/chat/conversations/{id}"): {"chat"},
    ("POST", "/v1/chat/conversations/{id}/messages"): {"chat"},
    ("POST", "/v1/chat/conversations/{id}/stop"): {"chat"},
    ("POST", "/v1/chat/conversations/{id}/title"): {"chat"},
    ("GET", "/v1/chat/conversations/{id}/export"): {"chat", "read"},
    ("POST", "/v1/images/generate"): {"images"},
    ("POST", "/v1/payments/x402"): {"top_up"},
    ("GET", "/v1/images/generate/{task_id}"): {"images", "read"},
    ("GET", "/v1/images"): {"images", "read"},
    ("GET", "/v1/images/{id}"): {"images", "read"},
    ("GET", "/v1/images/{id}/content"): {"images", "read"},
    ("DELETE", "/v1/images/{id}"): {"images"},
    ("POST", "/v1/chat/agent-tasks"): {"agents"},
    ("GET", "/v1/chat/agent-tasks"): {"agents", "read"},
    ("GET", "/v1/chat/agent-tasks/{id}"): {"agents", "read"},
    ("GET", "/v1/chat/agent-tasks/{id}/steps"): {"agents", "read"},
    ("GET", "/v1/chat/agent-tasks/{id}/artifacts"): {"agents", "read"},
    ("GET", "/v1/chat/agent-tasks/{id}/artifacts/{name}"): {"agents", "read"},
    ("POST", "/v1/chat/agent-tasks/{id}/cancel"): {"agents"},
    ("POST", "/v1/chat/agent-tasks/{id}/resume"): {"agents"},
    ("GET", "/v1/models"): set(SCOPES),
    ("GET", "/v1/models/preferences"): {"read"},
    ("POST", "/v1/models/estimate-cost"): {"chat", "read"},
    ("POST", "/v1/openai/chat/completions"): {"chat"},
    ("POST", "/v1/openai/completions"): {"chat"},
    ("POST", "/v1/openai/responses"): {"chat"},
    ("GET", "/v1/openai/responses/{id}"): {"chat", "read"},
    ("DELETE", "/v1/openai/responses/{id}"): {"chat"},
    ("POST", "/v1/openai/responses/{id}/cancel"): {"chat"},
    ("POST", "/v1/openai/embeddings"): {"chat"},
    ("POST", "/v1/openai/stop"): {"chat"},
    ("POST", "/v1/openai/images/generations"): {"images"},
    ("GET", "/v1/openai/models"): set(SCOPES),
    ("GET", "/v1/openai/models/{id}"): set(SCOPES),
}
"""Every route that a key may call, with the scopes of which it needs one. A route that is not here is for no key."""
PRIVATE = [route for route in ROUTES if not route.access.is_public]
NEVER = ("/v1/admin", "/v1/api-keys", "/v1/me", "/v1/credits/welcome-bonus", "/v1/credits/reserv")


def test_what_keys_may_do_is_what_the_table_says():
    assert {(route.method, route.path): set(route.scopes) for route in PRIVATE if route.scopes} == FOR_KEYS


def test_no_key_reaches_operators_keys_the_bonus_or_the_account_itself():
    assert [route.path for route in PRIVATE if route.path.startswith(NEVER) and route.scopes] == []


@pytest.mark.parametrize("route", PRIVATE, ids=lambda route: f"{route.method} {route.path}")
def test_a_key_may_call_what_its_scopes_say_and_nothing_else(world, route):
    owner = world.person("admin", credits_=10)
    path = route.path.removeprefix("/v1").replace("{id}", "none").replace("{uid}", "none").replace("{task_id}", "none")

    for scope in SCOPES:
        answer = owner.key(scope).call(route.method, path)

        if scope in route.scopes:
            assert answer.status_code not in {401, 403}
        else:
            told = answer.json["error"]["code"] if route.is_openai else problem(answer)[1]
            assert (answer.status_code, told) == (403, "forbidden" if route.access.roles else "scope_missing")


@pytest.mark.parametrize("scopes", [[], ["admin"], ["chat", "x"], "chat", None, ["chat"] * 6])
def test_a_key_is_for_something_that_there_is(alice, scopes):
    assert problem(made(alice, scopes=scopes)) == (422, "invalid_request")


def test_roles_are_not_a_keys(world):
    admin = world.person("admin", credits_=1)

    refused = admin.key(*SCOPES).get("/admin/users?email=alice@example.com")

    assert problem(refused) == (403, "forbidden")


def test_guests_make_no_keys(world):
    guest = world.guest()

    assert problem(made(guest)) == (403, "forbidden")
    assert problem(guest.get("/api-keys")) == (403, "forbidden")


def test_keys_of_others_are_not_there(world, alice):
    key_id = made(alice).json["id"]
    bob = world.person()

    assert problem(bob.call("DELETE", f"/api-keys/{key_id}")) == (404, "key_not_found")
    assert bob.get("/api-keys").json["items"] == []
    assert len(alice.get("/api-keys").json["items"]) == 1


@pytest.mark.parametrize(
    "expires_at",
    [
        "2020-01-01T00:00:00Z",
        "tomorrow",
        "2030-01-01",
        "2030-01-01T00:00:00",
        "",
        5,
        "9" * 50,
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_an_end_is_a_time_to_come(alice, expires_at):
    refused = made(alice, expires_at=expires_at)

    assert refused.status_code == 422
    assert list(refused.json["errors"]) == ["expires_at"]


@pytest.mark.parametrize(
    "cap", [{"amount": "0"}, {"amount": 5}, {"period": "day"}, {"amount": "1", "period": "year"}, {}]
)
def test_a_cap_is_an_amount_in_a_period(alice, cap):
    assert problem(made(alice, spend_cap=cap)) == (422, "invalid_request")


# Credentials -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change", [lambda key: key[:-1], lambda key: key + "0", str.upper, lambda key: "ics_" + "0" * 48]
)
def test_what_is_no_key_is_refused(world, alice, change):
    wrong = Person(world=world, uid=alice.uid, token=change(alice.key().token))

    assert problem(wrong.get("/models")) in {(401, "api_key_invalid"), (401, "token_invalid")}


def test_a_key_that_has_ended_is_refused(world, alice):
    server = alice.key("read", expires_at=rfc3339(world.clock.now() + HOUR))
    assert server.get("/credits/balance").status_code == 200

    world.clock.advance(HOUR)

    refused = server.get("/credits/balance")
    assert problem(refused) == (401, "api_key_expired")
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="credits"'


def test_app_check_is_for_apps():
    world = World(env={"APP_CHECK": "enforce"})
    alice = world.person(credits_=1)
    proof = {"X-Firebase-AppCheck": world.identity.app_check_token()}
    key = alice.post("/api-keys", {"name": "k", "scopes": ["read"]}, headers=proof).json["key"]

    assert Person(world=world, uid=alice.uid, token=key).get("/credits/balance").status_code == 200


def test_who_guesses_keys_is_stopped(world):
    from functions.http.limits import REFUSALS_BURST
    from shared.users.api_keys import new_key

    def guess() -> int:
        headers = {"Authorization": f"Bearer {new_key()}", "X-Forwarded-For": "7.7.7.7"}
        return world.call("GET", "/models", headers=headers).status_code

    assert [guess() for _ in range(REFUSALS_BURST + 1)] == [401] * REFUSALS_BURST + [429]


def test_a_frozen_owner_spends_through_no_key(world, alice):
    server = alice.key("chat", "read")
    world.services.credits.ledger.execute(alice.uid, Freeze(operation=operation_id("freeze")))

    assert problem(said(server)) == (403, "account_frozen")
    assert server.get("/credits/balance").json["status"] == "frozen"


def test_who_leaves_takes_the_keys_along(world, alice):
    server = alice.key("read")
    assert server.get("/credits/balance").status_code == 200

    alice.call("DELETE", "/me")

    assert server.get("/credits/balance").status_code in {401, 403}
    world.clock.advance(5 * SECOND)
    assert problem(server.get("/credits/balance")) == (401, "api_key_invalid")
    assert world.services.ports.documents().get(f"users/{alice.uid}/settings/api_keys") is None


def test_a_key_and_a_token_of_one_user_do_not_push_each_other_out_of_memory(world, alice):
    server = alice.key("read")
    for person in (alice, server):
        person.get("/credits/balance")
    reads: list[str] = []
    get = world.services.ports.documents().inner.inner.inner.get

    def watched(path: str):
        reads.append(path)
        return get(path)

    world.services.ports.documents().inner.inner.inner.get = watched

    for person in (alice, server, alice, server):
        person.get("/models/preferences")

    assert {path.split("/")[0] for path in reads} == {"users"}
    assert set(reads) == {f"users/{alice.uid}/settings/models"}


def test_the_same_idempotency_key_makes_one_key(alice):
    body = {"name": "k", "scopes": ["chat"]}

    first, second = (alice.post("/api-keys", body, key="once") for _ in range(2))

    assert problem(second) == (409, "key_shown_before")
    assert second.json["params"] == {"id": first.json["id"]}
    assert problem(alice.post("/api-keys", {**body, "name": "x"}, key="once")) == (409, "idempotency_mismatch")
    assert len(alice.get("/api-keys").json["items"]) == 1


# A revoked key, and a leaked database ------------------------------------------------------------------------------


def test_a_revoked_key_stops_here_at_once_and_on_every_instance_within_five_seconds(world, alice):
    other = create_app(
        in_memory(clock=world.clock, documents=world.services.ports.documents(), identity=world.identity)
    ).test_client()
    server = alice.key("read")
    headers = {"Authorization": f"Bearer {server.token}"}

    def there() -> int:
        return other.get("/v1/credits/balance", headers=headers).status_code

    assert (server.get("/credits/balance").status_code, there()) == (200, 200)
    (key,) = alice.get("/api-keys").json["items"]

    assert alice.call("DELETE", f"/api-keys/{key['id']}").status_code == 204

    assert problem(server.get("/credits/balance")) == (401, "api_key_invalid")
    world.clock.advance(5 * SECOND)
    assert there() == 401
    assert alice.get("/api-keys").json["items"] == []


@pytest.mark.parametrize("end", ["disabled", "deleted"])
def test_a_key_is_refused_within_a_minute_of_its_login_ending(world, alice, end):
    server = alice.key("read", "chat")
    assert server.get("/credits/balance").status_code == 200
    if end == "disabled":
        world.identity.disable(alice.uid)
    else:
        world.identity.delete_user(alice.uid)
    world.clock.advance(MINUTE)

    assert problem(server.get("/credits/balance")) == (401, "login_disabled")
    assert problem(server.post("/chat/conversations", {"message": "hi"})) == (401, "login_disabled")
    assert world.chat_model.requests == []


def test_logins_are_asked_for_once_a_minute_for_each_user(world, alice):
    first, second = alice.key("read"), alice.key("chat")
    world.identity.looked_up.clear()

    for server in (first, second) * 5:
        server.get("/credits/balance")
    assert world.identity.looked_up == [alice.uid]

    world.clock.advance(MINUTE)
    first.get("/credits/balance")
    assert world.identity.looked_up == [alice.uid] * 2


def test_keys_work_on_the_last_answer_while_identity_is_out_of_reach(world, alice):
    server = alice.key("read")
    assert server.get("/credits/balance").status_code == 200
    world.identity.is_down = True

    world.clock.advance(14 * MINUTE)
    assert server.get("/credits/balance").status_code == 200
    world.clock.advance(MINUTE)
    assert problem(server.get("/credits/balance")) == (503, "identity_unavailable")


def test_a_leaked_database_reveals_no_key(world, alice):
    keys = [alice.key("chat", spend_cap={"amount": "5"}).token for _ in range(3)]
    for key in keys:
        said(Person(world=world, uid=alice.uid, token=key))
    leaked = [
        text
        for document in world.services.ports.documents().inner.inner.inner._documents.values()
        for text in texts(document.data)
    ]
    leaked += world.services.ports.documents().inner.inner.inner._documents

    for key in keys:
        secret = key.removeprefix("ics_")
        for text in leaked:
            for reading in readings(text):
                assert not any(secret[at : at + 12].encode() in reading for at in range(len(secret) - 11))
                assert bytes.fromhex(secret) not in reading


def texts(value):
    """Every text in a stored value."""
    if isinstance(value, dict):
        return [text for each in (*value, *value.values()) for text in texts(each)]
    if isinstance(value, list | tuple):
        return [text for each in value for text in texts(each)]
    return [value if isinstance(value, str) else repr(value)]


def readings(text):
    """A stored text as it is, and as what it may be an encoding of."""
    yield text.encode()
    yield text[::-1].encode()
    for decode in (bytes.fromhex, base64.b64decode, base64.urlsafe_b64decode):
        try:
            yield decode(text)
        except ValueError:
            continue


def test_a_key_is_never_logged(world, alice, capsys):
    server = alice.key("chat")
    said(server)
    world.clock.advance(DAY)
    said(server)
    server.get("/credits/balance")

    told = capsys.readouterr()
    assert server.token not in told.out + told.err
    assert server.token[4:20] not in told.out + told.err


# Caps ------------------------------------------------------------------------------------------------------------


def test_a_cap_ends_what_a_key_spends_and_not_what_its_owner_spends(alice):
    server = alice.key("chat", spend_cap={"amount": "0.001"})

    refused = said(server, model="gpt-4o-mini", message="Hello " * 300)

    assert problem(refused) == (402, "budget_exceeded")
    assert refused.json["params"]["limit"] == "0.001"
    assert said(alice).status_code == 201


def test_what_is_used_of_a_cap_is_told(alice):
    server = alice.key("chat", spend_cap={"amount": "5", "period": "month"})
    cost = said(server).headers["X-Credits-Cost"]

    (key,) = alice.get("/api-keys").json["items"]

    assert key["spend_cap"]["used"] == cost != "0"
    assert key["spend_cap"]["period"] == "month"


@pytest.mark.parametrize("instances", [1, 3])
def test_a_cap_holds_under_two_hundred_concurrent_calls(instances):
    """Each call holds its whole ceiling; the cap has room for seven of them, the balance for all.

    On a real clock: a manual one goes on by all the pauses of all callers together, past the leases of those at work.
    """
    calls, room = 200, 7
    world = World(env={"RATE_LIMIT_BURST": "60000", "RATE_LIMIT_PER_MINUTE": "60000"}, clock=SystemClock())
    alice = world.person(credits_=1_000)
    estimate = alice.post("/models/estimate-cost", {"content": "Hello", "max_output_tokens": 100}).json
    ceiling = float(estimate["ceiling"])
    server = alice.key("chat", spend_cap={"amount": f"{room * ceiling:.6f}", "period": "day"})
    talk = server.post("/chat/conversations", {}).json["id"]
    apps = [world.app, *(another(world) for _ in range(instances - 1))]
    gate = threading.Barrier(calls)

    def asked(client):
        return client.post(
            f"/v1/chat/conversations/{talk}/messages",
            json={"content": "Hello", "max_output_tokens": 100},
            headers={"Authorization": f"Bearer {server.token}"},
        )

    def call(number: int) -> tuple[int, float]:
        client = apps[number % instances].test_client()
        gate.wait(60)
        # An instance reads few bodies of one caller at once, and refuses the others as any client expects.
        while (answer := asked(client)).status_code in {408, 429}:
            threading.Event().wait(0.01)
        return answer.status_code, float(answer.headers.get("X-Credits-Cost", 0))

    with ThreadPoolExecutor(calls) as pool:
        outcomes = list(pool.map(call, range(calls)))

    (key,) = alice.get("/api-keys").json["items"]
    spent = sum(cost for _, cost in outcomes)
    assert {status for status, _ in outcomes} <= {201, 402}
    assert sum(status == 201 for status, _ in outcomes) >= room
    assert float(key["spend_cap"]["used"]) == pytest.approx(spent)
    assert spent <= room * ceiling
    assert peak_of(world, alice) <= room * ceiling * 1_000_000
    assert world.services.credits.ledger.verify(alice.uid) == []


def another(world):
    """Another instance on the same store."""
    shared = {"documents": world.services.ports.documents(), "chat_model": world.chat_model, "identity": world.identity}
    return create_app(in_memory(world.env, clock=world.clock, **shared))


def peak_of(world, person) -> int:
    """The most that was held and charged together in the journal; µcr."""
    held = charged = peak = 0
    for entry in world.services.credits.ledger.entries(
        person.uid, 1, world.services.credits.ledger.balance(person.uid).seq
    ):
        held = entry.held_after
        charged += sum(p["amount"] for p in entry.postings if p["to"].startswith("revenue:"))
        peak = max(peak, held + charged)
    return peak
