"""What listeners read is what its schema publishes, and the schema refuses anything else."""

from typing import Any

import pytest

from shared.kernel.ids import Uid
from shared.ledger.account import Account
from shared.ledger.account_documents import plain_fields
from tests.support.live import check_live

HONEST = plain_fields(Account(ledger="l", uid=Uid("u"), head="h"))


def test_an_empty_account_is_what_its_schema_says():
    check_live("accounts", HONEST)


@pytest.mark.parametrize(
    ("field", "value"),
    [("available", 5), ("held", "1.0000001"), ("debt", "-1"), ("seq", "1"), ("seq", True), ("status", "new"), ("v", 1)],
)
def test_a_schema_refuses_another_unit_type_or_field(field: str, value: Any):
    with pytest.raises(AssertionError):
        check_live("accounts", {**HONEST, field: value})


@pytest.mark.parametrize("field", sorted(HONEST))
def test_a_schema_refuses_a_document_without_one_of_its_fields(field: str):
    with pytest.raises(AssertionError):
        check_live("accounts", {name: value for name, value in HONEST.items() if name != field})
