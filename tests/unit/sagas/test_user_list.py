"""A page of users costs the same reads with few users and with many."""

from typing import Any

import pytest

from shared.kernel.clock import to_datetime
from shared.kernel.documents import Put
from shared.kernel.ids import Uid
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.identity import MemoryIdentity
from shared.sagas.accounts.user_list import CANDIDATES_MAX, UserList
from shared.users.user_queries import UserFilter
from tests.support.indexes import IndexCheckedDocuments

FILTERS = {
    "all": UserFilter(),
    "address": UserFilter(email="user1"),
    "whole address": UserFilter(email="user1@shop.example"),
    "uid": UserFilter(uid=Uid("user1")),
    "role": UserFilter(role="support"),
    "open": UserFilter(status="open"),
    "frozen": UserFilter(status="frozen"),
    "closed": UserFilter(status="closed"),
    "debt": UserFilter(is_in_debt=True),
    "no debt": UserFilter(is_in_debt=False),
    "least debt": UserFilter(debt_min=2_000_000),
    "date": UserFilter(first=1_000, last=50_000),
    "nobody of many": UserFilter(email="user", role="admin", debt_min=1),
}
PAGE = 20


class CountingDocuments(IndexCheckedDocuments):
    """Counts round trips and documents that reads returned."""

    trips = 0
    read = 0

    def get_all(self, paths):
        found = super().get_all(paths)
        self.trips, self.read = self.trips + 1, self.read + len(found)
        return found

    def query(self, query):
        found = super().query(query)
        self.trips, self.read = self.trips + 1, self.read + max(1, len(found))
        return found


def user_writes(number):
    uid, is_closed = f"user{number}", number % 10 == 9
    told: dict[str, Any] = {"uid": uid, "status": "closed" if is_closed else "active"}
    if not is_closed:
        told |= {"email": f"{uid}@shop.example", "created_at": to_datetime(number * 1_000)}
        told |= {"roles": ["support"]} if number % 7 == 0 else {}
    debt = "2.5" if number % 3 == 0 else "0"
    shown = {"available": "1", "held": "0", "total": "1", "debt": debt}
    account = {
        **shown,
        "status": "frozen" if number % 4 == 0 else "open",
        "seq": 1,
        "updated_at": "2026-12-01T00:00:00Z",
    }
    return [Put(f"users/{uid}", told), Put(f"accounts/{uid}", account)]


@pytest.fixture(scope="module", params=[100, 1_000, 10_000])
def town(request):
    documents, identity = MemoryDocuments(), MemoryIdentity(ManualClock())
    for number in range(request.param):
        documents.commit(user_writes(number))
        roles = {"roles": ["support"]} if number % 7 == 0 else {}
        identity.sign_up(f"user{number}@shop.example", uid=f"user{number}", claims=roles)
    return documents, identity


@pytest.mark.parametrize("name", FILTERS)
def test_a_page_costs_the_same_with_any_number_of_users(town, name):
    counting = CountingDocuments(town[0])
    users = UserList(counting, town[1])

    page = users.page(FILTERS[name], cursor=None, limit=PAGE)
    users.page(FILTERS[name], cursor=page.next_cursor, limit=PAGE)

    most = PAGE if FILTERS[name].is_simple else CANDIDATES_MAX
    assert len(page.items) <= PAGE + 1
    assert counting.trips <= 5
    assert counting.read <= 2 * (3 * most + 3)
