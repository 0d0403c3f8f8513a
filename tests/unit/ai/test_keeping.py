"""What a user may keep without paying: conversations that were only begun, tasks that were only queued."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.ai.chat.conversations import ConversationStore
from shared.ai.chat.keeping import (
    CONVERSATION_BYTES,
    FREE_BYTES_MAX,
    FREE_CONVERSATIONS_MAX,
    TASKS_PER_DAY_MAX,
    StorageCount,
    StorageFull,
    TooManyTasksToday,
    kept_in,
    storage_path,
)
from shared.kernel.clock import DAY
from shared.kernel.documents import Put
from shared.kernel.ids import OperationId, Uid
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments

ANN, BOB = Uid("ann"), Uid("bob")


def is_poor():
    return False


def is_rich():
    return True


class Place:
    """The conversations of one store."""

    def __init__(self):
        self.documents = MemoryDocuments()
        self.conversations = ConversationStore(self.documents, ManualClock())

    def begin(self, name, *, uid=ANN, is_paying=is_poor, prompt=None):
        return self.conversations.create(
            uid, operation=OperationId(f"{uid}-{name}"), fingerprint="", system_prompt=prompt, is_paying=is_paying
        )

    def kept(self, uid=ANN):
        return kept_in(uid, self.documents.get(storage_path(uid)))


def test_user_without_credits_keeps_a_limited_number_of_conversations():
    place = Place()
    begun = [place.begin(number) for number in range(FREE_CONVERSATIONS_MAX)]

    with pytest.raises(StorageFull):
        place.begin("one more")

    assert place.begin("1") == begun[1]
    assert place.begin("of another", uid=BOB).uid == BOB
    assert place.begin("paid for", is_paying=is_rich).uid == ANN


def test_deleted_conversation_makes_room_once():
    place = Place()
    begun = [place.begin(number) for number in range(FREE_CONVERSATIONS_MAX)]

    place.conversations.delete(ANN, begun[0].id)

    assert place.kept().conversations == FREE_CONVERSATIONS_MAX - 1
    assert place.begin("one more").uid == ANN
    with pytest.raises(StorageFull):
        place.begin("two more")


def test_system_prompts_of_a_user_without_credits_are_limited_in_bytes():
    place = Place()
    first = place.begin("first", prompt="x" * (FREE_BYTES_MAX // 2))

    with pytest.raises(StorageFull):
        place.begin("second", prompt="x" * (FREE_BYTES_MAX // 2))
    with pytest.raises(StorageFull):
        place.conversations.patch(ANN, first.id, {"system_prompt": "x" * FREE_BYTES_MAX}, is_poor)
    place.conversations.patch(ANN, first.id, {"system_prompt": "short"}, is_poor)

    assert place.kept().bytes == CONVERSATION_BYTES + len("short")


def test_conversations_begun_at_once_are_all_counted():
    place = Place()

    with ThreadPoolExecutor(4) as pool:
        begun = list(pool.map(place.begin, range(4)))

    assert place.kept().conversations == len(begun) == 4


def test_conversation_from_before_is_deleted_without_a_count():
    place = Place()
    begun = place.begin("first")
    place.documents.commit([Put(storage_path(ANN), {"v": 1, "uid": ANN})])

    place.conversations.delete(ANN, begun.id)

    assert (place.kept().conversations, place.kept().bytes) == (0, 0)


def test_leaving_user_leaves_no_count_behind():
    place = Place()
    place.begin("first")

    place.conversations.erase(ANN)

    assert place.documents.get(storage_path(ANN)) is None


def test_tasks_of_a_day_are_limited_until_the_next_one():
    kept = StorageCount(uid=ANN, day=10, tasks=TASKS_PER_DAY_MAX)

    with pytest.raises(TooManyTasksToday) as refused:
        kept.with_task(10 * DAY + 1)

    assert refused.value.params["retry_after_ms"] == DAY - 1
    assert kept.with_task(11 * DAY).tasks == 1
