"""What listeners read is what its schema publishes, and the schema refuses anything else."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from shared.kernel.documents import Create, Patch
from shared.kernel.ids import Uid
from shared.kernel.schemas import SCHEMA_VERSION
from shared.ledger.account import Account
from shared.ledger.account_documents import plain_fields
from shared.payments.payment import Status
from shared.platform.memory.documents import MemoryDocuments
from tests.support.live import SCHEMAS, LiveDocuments, check_live, check_live_changes, live_collections, schema_of
from tests.support.rules import RULES, collections_in, readable_paths

PAYMENT: dict[str, Any] = {
    "id": "pay_1",
    "uid": "u",
    "status": "settled",
    "under_review": False,
    "provider": "stripe",
    "package_id": "small",
    "title": "Small",
    "price": {"amount": "9.99", "currency": "USD"},
    "refunded": {"amount": "0.00", "currency": "USD"},
    "credits": "1000",
    "bonus": "0",
    "failure": None,
    "checkout_url": None,
    "receipt_url": None,
    "transaction_id": "pi_1",
    "created_at": "2026-11-30T08:00:00.000Z",
    "expires_at": "2026-11-30T09:00:00.000Z",
    "settled_at": "2026-11-30T08:01:00.125Z",
    "updated_at": "2026-11-30T08:01:00.125Z",
    "crypto": None,
}
HONEST = plain_fields(Account(ledger="l", uid=Uid("u"), head="h"))
PUBLISHED = sorted(SCHEMAS.glob("*.schema.json"))


def test_an_empty_account_is_what_its_schema_says():
    check_live("accounts", HONEST)


@pytest.mark.parametrize(
    ("field", "value"),
    [("available", 5), ("held", "1.0000001"), ("debt", "-1"), ("seq", "1"), ("seq", True), ("status", "new"), ("v", 1)],
)
def test_a_schema_refuses_another_unit_type_or_field(field: str, value: Any):
    with pytest.raises(AssertionError):
        check_live("accounts", {**HONEST, field: value})
    with pytest.raises(AssertionError):
        check_live_changes("accounts", {field: value})


@pytest.mark.parametrize("field", sorted(HONEST))
def test_a_schema_refuses_a_document_without_one_of_its_fields(field: str):
    with pytest.raises(AssertionError):
        check_live("accounts", {name: value for name, value in HONEST.items() if name != field})


def test_a_payment_is_what_its_schema_says():
    check_live("payments", PAYMENT)
    check_live("payments", {**PAYMENT, "settled_at": None, "failure": "expired_card"})
    check_live("payments", {**PAYMENT, "settled_at": None, "status": "cancelled"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price", "9.99"),
        ("price", {"amount": 9.99, "currency": "USD"}),
        ("price", {"amount": "9.99", "currency": "usd"}),
        ("price", {"amount": "9.99"}),
        ("price", {"amount": "9.99", "currency": "USD", "minor": 999}),
        ("credits", 1_000_000_000),
        ("status", "paid"),
        ("under_review", None),
        ("created_at", "2026-11-30T08:00:00Z"),
        ("created_at", None),
        ("client_secret", "s"),
        ("fingerprint", "f"),
    ],
)
def test_a_payment_s_schema_refuses_another_unit_or_field(field: str, value: Any):
    with pytest.raises(AssertionError):
        check_live("payments", {**PAYMENT, field: value})


@pytest.mark.parametrize("field", sorted(PAYMENT))
def test_a_payment_s_schema_wants_every_field(field: str):
    with pytest.raises(AssertionError):
        check_live("payments", {name: value for name, value in PAYMENT.items() if name != field})


def test_a_payment_s_schema_knows_every_status():
    assert tuple((schema_of("payments") or {})["properties"]["status"]["enum"]) == get_args(Status)


@pytest.mark.parametrize("field", sorted(HONEST))
def test_a_change_of_one_field_is_held_to_the_schema(field: str):
    check_live_changes("accounts", {field: HONEST[field]})


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.name)
def test_a_schema_describes_and_closes_every_object(path: Any):
    schema = json.loads(path.read_text())

    for each in _objects(schema):
        assert each["additionalProperties"] is False
        assert set(each["required"]) == set(each["properties"]) - {SCHEMA_VERSION}
    assert all("description" in each or "enum" in each for each in schema["properties"].values())


def test_the_rules_let_clients_read_only_collections_with_a_schema():
    assert collections_in(readable_paths(RULES)) == live_collections()


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("match /a/{id} { allow read: if isUser(id); }", {"a"}),
        ("match /a/{id} {\n  allow get: if true\n    && isUser(id);\n}", {"a"}),
        ("match /a/{id} { allow read; }", {"a"}),
        ("match /a/{id} { allow list, write: if true; }", {"a"}),
        ("match /a/{id}{ match /b/{n} { allow read: if true; } }", {"a/*/b"}),
        ("match /a/{id} { allow read: if false; } match /b/{id} { allow get: if true; }", {"b"}),
        ("match /a/{id}/b/{n} { allow get: if true; }", {"a/*/b"}),
        ("match /{path=**}/b/{n} { allow get: if true; }", {"{path=**}/b/{n}"}),
        ("match /a/{path=**} { allow get: if true; }", {"a/{path=**}"}),
        ("function f() { return get(/databases/$(d)/x/y); } match /a/{id} { allow read: if f(); }", {"a"}),
        ("// match /a/{id} { allow read: if true; }", set()),
        ("match /a/{id} { allow create, update, delete: if true; }", set()),
        ("match /a/{id} { allow read, write: if false; }", set()),
    ],
)
def test_a_readable_path_is_found_however_its_rule_is_written(rule: str, found: set[str]):
    rules = "service cloud.firestore {\n match /databases/{database}/documents {\n" + rule + "\n}\n}"

    assert collections_in(readable_paths(rules)) == found


def test_a_store_is_checked_for_every_document_that_listeners_read():
    documents = MemoryDocuments()
    live = LiveDocuments(documents)
    documents.commit([Create("accounts/u", HONEST), Create("payments/p", PAYMENT), Create("users/u", {"v": 1})])

    assert live.check_new() == ["accounts/u", "payments/p"]
    assert live.check_new() == []


@pytest.mark.parametrize(
    "writes",
    [
        [Create("accounts/u", {**HONEST, "available": 5})],
        [Create("payments/p", {**PAYMENT, "fingerprint": "f"})],
        [Create("agent_tasks/t/steps/1", {"cost": 5})],
    ],
)
def test_a_store_with_an_unpublished_form_is_refused(writes: list[Create]):
    documents = MemoryDocuments()
    documents.commit(writes)

    with pytest.raises(AssertionError):
        LiveDocuments(documents).check_new()


def test_a_changed_document_is_checked_again():
    documents = MemoryDocuments()
    live = LiveDocuments(documents)
    documents.commit([Create("accounts/u", HONEST)])
    live.check_new()

    documents.commit([Patch("accounts/u", {"held": 5})])
    with pytest.raises(AssertionError):
        live.check_new()


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for each in schema.values():
            yield from _objects(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _objects(each)
