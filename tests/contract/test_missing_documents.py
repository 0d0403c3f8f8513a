"""A listing shows documents, and missing documents that have documents below, on both stores."""

import pytest

from emulator.suite import Suite
from shared.kernel.documents import Create, Delete, Documents
from shared.kernel.listings import InvalidToken, list_page
from shared.platform.firestore.documents import connect
from shared.platform.memory.documents import MemoryDocuments


@pytest.fixture(params=["memory", "firestore"])
def documents(request: pytest.FixtureRequest, firestore_emulator: Suite, project: str) -> Documents:
    return MemoryDocuments() if request.param == "memory" else connect(project)


def pages(documents: Documents, limit: int) -> list[tuple[list[str], list[str]]]:
    found, token = [], ""
    while True:
        page = list_page(documents, "accounts", limit, token)
        found.append(([each.path for each in page.documents], list(page.missing)))
        token = page.token
        if not token:
            return found


def test_listing_shows_missing_documents_in_the_order_of_ids(documents):
    for uid in ("a", "b", "c", "Zoë", "e/entries/1", "f/entries/1"):
        documents.commit([Create(f"accounts/{uid}", {"seq": 1})])
    documents.commit([Create("accounts/b/entries/1", {}), Create("accounts/g/entries/1", {})])
    documents.commit([Delete("accounts/b"), Delete("accounts/g/entries/1")])

    everything = ["accounts/Zoë", "accounts/a", "accounts/b", "accounts/c", "accounts/e", "accounts/f"]
    for limit in (2, 3, 100):
        found = pages(documents, limit)
        assert sorted(path for page in found for part in page for path in part) == everything
        assert [path for _, missing in found for path in missing] == ["accounts/b", "accounts/e", "accounts/f"]
    assert list_page(documents, "accounts", 2).documents[0].data == {"seq": 1}


def test_listing_refuses_a_token_of_nobody(documents):
    documents.commit([Create("accounts/a", {})])

    try:
        page = list_page(documents, "accounts", 2, "no token of ours")
    except InvalidToken:
        return
    assert page.token == ""
