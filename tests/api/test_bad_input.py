"""What must be refused before anything happens: each with a typed 4xx, and nothing written."""

import json

import pytest

from functions.http.bodies import MAX_BODY_BYTES
from tests.api.world import problem

AMOUNTS = [
    "1e400", "1E2", "-0", "-1", "+1", "NaN", "Infinity", "-Infinity", "inf", "", " ", " 1", "1 ", "1\n", "1,5",
    "1.", ".5", "01", "00", "0", "0.0", "0.000000", "1.0000001", "0." + "1" * 30, "1" * 11, "9" * 400, "9999999999",
    "0x10", "1_000", "١٢", "１２", "1٫5", "½", "Ⅻ", "一", "1\u0000", "1\u200b", "１.5", "1．5", "💰", "null", "true",
    "[1]", "1;drop",
]  # fmt: skip
NOT_STRINGS = [1, 1.5, 0, -1, 1e308, True, False, None, [], ["1"], {}, {"amount": "1"}, 10**30]


@pytest.mark.parametrize("amount", AMOUNTS, ids=ascii)
def test_an_amount_is_a_plain_decimal_string_above_zero(alice, amount):
    refused = alice.post("/credits/reserve", {"amount": amount})

    assert problem(refused) == (422, "invalid_request")
    assert list(refused.json["errors"]) == ["amount"]
    assert alice.get("/credits/history?kind=hold").json["items"] == []


@pytest.mark.parametrize("amount", NOT_STRINGS, ids=str)
def test_an_amount_is_not_a_number_or_anything_else(alice, amount):
    refused = alice.post("/credits/reserve", {"amount": amount})

    assert (problem(refused), list(refused.json["errors"])) == ((422, "invalid_request"), ["amount"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "{",
        '{"amount": "1"',
        '{"amount": "1"} {}',
        '{"amount": NaN}',
        '{"amount": Infinity}',
        '{"amount": -Infinity}',
        '{"amount": 1e400}',
        '{"amount": ' + "9" * 5_000 + "}",
        '{"amount": "1", "amount": "2"}',
        '{"a": {"b": 1, "b": 1}}',
        '{"amount": "\\ud800"}',
        '{"\\udfff": 1}',
        "[" * 100_000,
        "[" * 200 + "]" * 200,
        '{"a":' * 65 + "1" + "}" * 65,
        "{'amount': '1'}",
        '{"amount": "1",}',
        '{"amount": "1"} // why',
        '\ufeff{"amount": "1"}',
    ],
    ids=lambda text: ascii(text[:24]),
)
def test_a_body_that_is_not_one_plain_json_text_is_malformed(alice, text):
    refused = alice.call("POST", "/credits/reserve", data=text.encode(), content_type="application/json")

    expected = (422, "invalid_request") if text == "" else (400, "malformed_request")
    assert problem(refused) == expected


@pytest.mark.parametrize("raw", [b"\xff\xfe{\x00}\x00", b'{"amount": "\xed\xa0\x80"}', b'{"amount": "\xc3"}', b"\x00"])
def test_a_body_that_is_not_utf8_is_malformed(alice, raw):
    refused = alice.call("POST", "/credits/reserve", data=raw, content_type="application/json")

    assert problem(refused) == (400, "malformed_request")


@pytest.mark.parametrize("value", [[], [1], "text", 1, True, None])
def test_a_body_is_an_object(alice, value):
    refused = alice.call("POST", "/credits/reserve", data=json.dumps(value), content_type="application/json")

    assert (problem(refused), list(refused.json["errors"])) == ((422, "invalid_request"), ["body"])


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["amount"]),
        ({"amount": "1", "colour": "red"}, ["colour"]),
        ({"amount": "1", "ttl_seconds": 0}, ["ttl_seconds"]),
        ({"amount": "1", "ttl_seconds": 86_401}, ["ttl_seconds"]),
        ({"amount": "1", "ttl_seconds": "60"}, ["ttl_seconds"]),
        ({"amount": "1", "ttl_seconds": 60.0}, ["ttl_seconds"]),
        ({"amount": "1", "ttl_seconds": True}, ["ttl_seconds"]),
        ({"amount": "1", "description": "x" * 201}, ["description"]),
        ({"amount": "1", "description": "a\0b"}, ["description"]),
        ({"amount": "1", "description": 5}, ["description"]),
        ({"amount": 1, "ttl_seconds": "x", "__proto__": {}}, ["__proto__", "amount", "ttl_seconds"]),
    ],
)
def test_every_wrong_field_is_named(alice, body, fields):
    refused = alice.post("/credits/reserve", body)

    assert problem(refused) == (422, "invalid_request")
    assert sorted(refused.json["errors"]) == fields


@pytest.mark.parametrize("final", ["true", "false", 1, 0, None, "yes"])
def test_a_flag_is_true_or_false(alice, final):
    made = alice.post("/credits/reserve", {"amount": "1"}).json

    refused = alice.post(f"/credits/reservations/{made['id']}/capture", {"amount": "1", "final": final})

    assert list(refused.json["errors"]) == ["final"]


def test_a_body_that_is_too_large_is_not_read(alice):
    text = '{"amount": "1", "description": "' + "x" * MAX_BODY_BYTES + '"}'

    refused = alice.call("POST", "/credits/reserve", data=text, content_type="application/json")

    assert problem(refused) == (413, "body_too_large")


def test_a_body_that_says_nothing_of_its_size_is_limited_too(alice):
    import io

    body = io.BytesIO(b'{"amount": "1", "description": "' + b"x" * MAX_BODY_BYTES + b'"}')
    environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}

    refused = alice.call(
        "POST", "/credits/reserve", input_stream=body, content_type="application/json", environ_overrides=environ
    )

    assert problem(refused) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("kind", "headers"),
    [
        (None, {}),
        ("text/plain", {}),
        ("application/x-www-form-urlencoded", {}),
        ("application/json; charset=latin-1", {}),
        ("application/problem+json", {}),
        ("application/json", {"Content-Encoding": "gzip"}),
    ],
)
def test_a_body_says_that_it_is_json(alice, kind, headers):
    refused = alice.call("POST", "/credits/reserve", data=b'{"amount": "1"}', content_type=kind, headers=dict(headers))

    assert problem(refused) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=UTF-8", "APPLICATION/JSON"])
def test_json_in_utf8_is_welcome_however_it_is_spelt(alice, kind):
    made = alice.call("POST", "/credits/reserve", data=b'{"amount": "1"}', content_type=kind)

    assert made.status_code == 201


@pytest.mark.parametrize(
    "identifier",
    [
        "..",
        "%2e%2e",
        "a%2Fb",
        "a%00b",
        "%F0%9F%92%B0",
        "%FF",
        "__x__",
        "a b",
        "x" * 129,
        "%0d%0aSet-Cookie:x",
        "a\\b",
        "*",
    ],
)
def test_an_impossible_id_names_nothing(alice, identifier):
    assert problem(alice.get(f"/credits/reservations/{identifier}"))[0] == 404
    assert problem(alice.get(f"/chat/conversations/{identifier}"))[0] == 404


@pytest.mark.parametrize(
    "path", ["/nothing", "/credits", "/credits/", "/credits/balance/", "//credits/balance", "/me/../me"]
)
def test_a_path_that_is_not_there_is_a_problem_too(alice, path):
    assert problem(alice.get(path)) == (404, "not_found")


def test_a_method_that_is_not_there_says_which_are(alice):
    refused = alice.call("DELETE", "/credits/balance")

    assert problem(refused) == (405, "method_not_allowed")
    assert set(refused.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=101", "limit=-1", "limit=x", "limit=", "limit=1.0", "limit=1e1", "limit=%201",
        "limit=1_0", "limit=%D9%A1", "limit=99999999999999999999", "limit=1&limit=2", "cursor=x", "cursor=",
        "cursor=e30", "cursor=WyJhIl0", "cursor=LTE", "cursor=bnVsbA", "cursor=dHJ1ZQ", "cursor=MS41", "cursor=%FF",
        "cursor=%00", "cursor=" + "A" * 5_000, "cursor=Ilx1ZDgwMCI", "cursor=MTAwMDAwMDAwMDAwMDAwMDAwMDAwMDA",
        "kind=theft", "kind=", "colour=red", "%00=1",
    ],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_refused_by_field(alice, query):
    refused = alice.get(f"/credits/history?{query}")

    assert problem(refused) == (422, "invalid_request")
    assert len(refused.json["errors"]) == 1


def test_a_query_where_none_is_expected_is_refused(alice):
    assert problem(alice.get("/credits/balance?as_of=yesterday")) == (422, "invalid_request")


@pytest.mark.parametrize("cursor", ["Ilx1ZDgwMCI", "IlwwIg", "MQ", "IsO8Ig"])
def test_a_cursor_of_text_holds_plain_text_only(alice, cursor):
    assert problem(alice.get(f"/chat/conversations?cursor={cursor}")) == (422, "invalid_request")


def test_names_may_be_in_any_script(alice):
    title = "नमस्ते 👩‍👩‍👧 مرحبا Ⅻ e\u0301"

    made = alice.post("/chat/conversations", {"title": title}).json

    assert made["title"] == title == alice.get(f"/chat/conversations/{made['id']}").json["title"]


def test_nothing_was_written_by_all_that(world, alice):
    before = world.services.credits.ledger.balance(alice.uid)

    for amount in AMOUNTS:
        alice.post("/credits/reserve", {"amount": amount})

    assert world.services.credits.ledger.balance(alice.uid) == before
