"""What every response has in common: its id, its caching, its origin, its limits, and how it fails."""

import pytest
from flask import request

from functions.http.addresses import client_address
from functions.http.errors import TooManyRequests
from functions.http.limits import CALLERS_MAX, CALLS_BURST, REFUSALS_BURST, Limiter, Refusals
from shared.kernel.clock import SECOND
from shared.kernel.documents import StoreUnavailable
from shared.ledger.errors import IntegrityFailed
from shared.platform.memory.clock import ManualClock
from tests.api.world import World, problem

PEER = {"REMOTE_ADDR": "127.0.0.1"}


def test_every_response_has_an_id(world, alice):
    given = alice.get("/me", headers={"X-Request-Id": "order-17:a"})
    made = alice.get("/nothing")

    assert given.headers["X-Request-Id"] == "order-17:a"
    assert made.headers["X-Request-Id"].startswith("req_")


def test_no_address_can_be_built_from_a_route(world):
    (route, *_) = world.app.url_map.iter_rules()

    with pytest.raises(NotImplementedError, match="is matched, not built"):
        world.app.url_map.bind("localhost").build(route.endpoint, dict.fromkeys(route.arguments, "a"))


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>", "a;b", "é"])
def test_an_id_that_could_do_harm_is_replaced(alice, given):
    assert alice.get("/me", headers={"X-Request-Id": given}).headers["X-Request-Id"].startswith("req_")


def test_private_answers_are_stored_nowhere(alice):
    response = alice.get("/credits/balance")

    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_a_failure_nobody_foresaw_tells_nothing_of_itself(alice, world, capsys):
    class Broken:
        def balance(self, uid):
            raise ZeroDivisionError("secret of " + uid)

        def open(self, uid):
            pass

    alice.get("/me")
    world.services.credits.__dict__["ledger"] = Broken()

    refused = alice.get("/credits/balance", headers={"X-Request-Id": "req-9"})

    assert problem(refused) == (500, "internal_error")
    told = capsys.readouterr().out
    assert "secret" not in refused.get_data(as_text=True) + told
    assert '"error": "ZeroDivisionError"' in told
    assert "req-9" in told


def failing(world, error):
    class Failing:
        def balance(self, uid):
            raise error

    world.services.credits.__dict__["ledger"] = Failing()


def test_a_store_that_is_away_asks_to_come_back(world, alice):
    alice.get("/me")
    failing(world, StoreUnavailable())

    refused = alice.get("/credits/balance")

    assert problem(refused) == (503, "store_unavailable")
    assert refused.headers["Retry-After"] == "1"


def test_an_account_that_was_tampered_with_is_a_conflict(world, alice):
    alice.get("/me")
    failing(world, IntegrityFailed(uid=alice.uid, seq=3, rule="seal"))

    refused = alice.get("/credits/balance")

    assert problem(refused) == (409, "integrity_failed")
    assert refused.json["params"] == {"uid": alice.uid, "seq": 3, "rule": "seal"}


# Origins ---------------------------------------------------------------------------------------------------------


def test_a_laptop_lets_every_local_page_in(world):
    preflight = {"Origin": "http://localhost:5173", "Access-Control-Request-Method": "POST"}

    answer = world.call("OPTIONS", "/credits/reserve", headers=preflight)

    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:5173"
    assert "Idempotency-Key" in answer.headers["Access-Control-Allow-Headers"]
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    assert "Origin" in answer.headers["Vary"]


def test_openais_sdk_may_say_in_a_browser_what_it_is(world):
    wanted = (
        "authorization,api-key,content-type,idempotency-key,user-agent,x-stainless-arch,x-stainless-retry-count,"
        "x-stainless-helper-method,openai-organization,openai-project,openai-beta,x-other"
    )
    preflight = {
        "Origin": "http://localhost:5173",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": wanted,
    }

    answer = world.call("OPTIONS", "/openai/chat/completions", headers=preflight)

    allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert set(wanted.split(",")) - allowed == {"x-other"}


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "http://localhost:5173.evil.example",
        "http://localhost:x",
        "https://localhost:5173",
        "http://localhost:5173\n",
    ],
)
def test_other_pages_are_told_nothing(world, alice, origin):
    headers = {"Origin": origin.strip()} if "\n" not in origin else {"Origin": "http://localhost:123456"}
    preflight = world.call("OPTIONS", "/me", headers={**headers, "Access-Control-Request-Method": "GET"})

    assert "Access-Control-Allow-Origin" not in preflight.headers
    assert "Access-Control-Allow-Origin" not in alice.get("/me", headers=headers).headers


def test_the_setting_names_the_origins():
    world = World(env={"CORS_ORIGINS": "https://app.example.com,https://www.example.com"})
    alice = world.person()

    welcome = alice.get("/me", headers={"Origin": "https://app.example.com"})
    stranger = alice.get("/me", headers={"Origin": "http://localhost:5173"})

    assert welcome.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert "X-Credits-Cost" in welcome.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in stranger.headers


def test_a_refusal_can_be_read_across_origins_too(world):
    refused = world.call("GET", "/me", headers={"Origin": "http://127.0.0.1:8080"})

    assert problem(refused) == (401, "unauthenticated")
    assert refused.headers["Access-Control-Allow-Origin"] == "http://127.0.0.1:8080"


def test_what_a_path_offers_can_be_asked(world):
    offered = world.call("OPTIONS", "/me")

    assert set(offered.headers["Allow"].split(", ")) >= {"GET", "DELETE"}


# Limits ----------------------------------------------------------------------------------------------------------


def test_who_asks_too_much_is_told_when_to_come_back(world):
    alice, bob = world.person(), world.person()

    answers = [alice.get("/models").status_code for _ in range(CALLS_BURST + 1)]

    assert answers == [200] * CALLS_BURST + [429]
    refused = alice.get("/models")
    assert problem(refused) == (429, "rate_limited")
    assert refused.headers["Retry-After"] == "1"
    assert bob.get("/models").status_code == 200
    world.clock.advance(SECOND)
    assert alice.get("/models").status_code == 200


def test_who_may_spend_more_often_may_call_more_often():
    world = World(env={"RATE_LIMIT_PER_MINUTE": "60000", "RATE_LIMIT_BURST": str(2 * CALLS_BURST)})
    alice = world.person()

    answers = [alice.get("/models").status_code for _ in range(2 * CALLS_BURST + 1)]

    assert answers == [200] * 2 * CALLS_BURST + [429]


def guess(world, token, forwarded="6.6.6.6, 7.7.7.7", path="/me"):
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": forwarded}
    return world.call("GET", path, headers=headers).status_code


def test_one_bad_credential_is_stopped_wherever_it_comes_from(world):
    answers = [guess(world, "guess", forwarded=f"7.7.{number}.7") for number in range(REFUSALS_BURST + 1)]

    assert answers == [401] * REFUSALS_BURST + [429]


def test_many_bad_credentials_of_one_address_are_stopped(world):
    answers = [guess(world, f"guess-{number}") for number in range(REFUSALS_BURST + 1)]

    assert answers == [401] * REFUSALS_BURST + [429]
    assert guess(world, "guess-new", forwarded="8.8.8.8") == 401


def test_valid_credentials_are_served_behind_an_address_that_guesses(world, alice):
    key = alice.key("read")
    for number in range(2 * REFUSALS_BURST):
        guess(world, f"guess-{number}")
        world.call("GET", "/me", headers={"X-Forwarded-For": "7.7.7.7"})

    assert guess(world, "one-more") == 429
    assert guess(world, alice.token) == 200
    assert guess(world, key.token, path="/credits/balance") == 200
    assert guess(world, world.person().token) == 200


def test_forbidden_calls_count_for_their_own_credential_only(world, alice):
    bob = world.person()

    answers = [guess(world, alice.token, path="/admin/audit") for _ in range(REFUSALS_BURST + 1)]

    assert answers == [403] * REFUSALS_BURST + [429]
    assert guess(world, bob.token) == 200
    assert guess(world, "guess") == 401


@pytest.mark.parametrize(
    ("source", "forwarded", "expected"),
    [
        ("direct", "1.1.1.1, 2.2.2.2", "127.0.0.1"),
        ("function", "1.1.1.1, 2.2.2.2", "2.2.2.2"),
        ("function", "2.2.2.2", "2.2.2.2"),
        ("function", "1.1.1.1, nonsense", "127.0.0.1"),
        ("function", "", "127.0.0.1"),
        ("load_balancer", "9.9.9.9, 1.1.1.1, 2.2.2.2", "1.1.1.1"),
        ("load_balancer", "2.2.2.2", "2.2.2.2"),
        ("load_balancer", "9.9.9.9, nonsense, 2.2.2.2", "2.2.2.2"),
        ("hosting", "9.9.9.9, 1.1.1.1, 2.2.2.2", "1.1.1.1"),
        ("proxy", "9.9.9.9, 1.1.1.1, 2.2.2.2", "1.1.1.1"),
        ("function", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("function", "::ffff:2.2.2.2", "2.2.2.2"),
    ],
)
def test_client_address_stands_where_the_setting_says(world, source, forwarded, expected):
    with world.app.test_request_context(headers={"X-Forwarded-For": forwarded}, environ_base=PEER):
        assert client_address(request, source) == expected


@pytest.mark.parametrize("source", ["direct", "function", "load_balancer", "hosting", "proxy"])
def test_forged_entries_do_not_choose_the_address(source):
    world = World(env={"CLIENT_ADDRESS_FROM": source})
    appended = ["5.5.5.5", "6.6.6.6"][-{"direct": 0, "function": 1}.get(source, 2) :]

    def forged(number):
        return guess(world, f"guess-{number}", forwarded=", ".join([f"9.9.{number}.9", *appended]))

    answers = [forged(number) for number in range(REFUSALS_BURST + 1)]

    assert answers == [401] * REFUSALS_BURST + [429]


def test_counters_of_refusals_forget_the_least_recent(world):
    refusals = Refusals(world.clock)
    for number in range(CALLERS_MAX + 10):
        refusals.count(str(number), str(number), is_valid=False)

    kept = [len(each._due) for each in (refusals._by_credential, refusals._by_address)]

    assert kept == [CALLERS_MAX, CALLERS_MAX]


def test_a_limiter_forgets_the_least_recent_caller():
    limiter = Limiter(ManualClock(), per_minute=1, burst=1)
    limiter.admit("first")
    for number in range(CALLERS_MAX):
        limiter.admit(str(number))

    limiter.admit("first")

    with pytest.raises(TooManyRequests):
        limiter.admit("first")


def test_refusals_beyond_the_burst_do_not_bar_for_ever():
    clock = ManualClock()
    limiter = Limiter(clock, per_minute=60, burst=2)
    for _ in range(100):
        limiter.count("guesser")

    with pytest.raises(TooManyRequests):
        limiter.check("guesser")
    clock.advance(3 * SECOND)
    limiter.check("guesser")


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/", "/api/v1/monitoring/health", "/api/v1/docs/openapi.json"])
def test_path_of_a_hosting_rewrite_is_answered_like_its_own(world, path):
    hosted, own = world.client.get(path), world.client.get(path.removeprefix("/api"))

    assert (hosted.status_code, hosted.json) == (200, own.json)


@pytest.mark.parametrize("path", ["/api", "/apiv1/monitoring/health", "/api/v1x", "/api/api/v1/monitoring/health"])
def test_path_that_is_no_rewrite_s_is_not_found(world, path):
    assert problem(world.client.get(path))[0] == 404
