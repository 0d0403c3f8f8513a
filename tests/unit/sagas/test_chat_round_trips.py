"""How often a turn goes to the store: counted, so that no machine is too slow for it."""

import threading
from collections import Counter

from tests.support.chat import World, answer_of
from tests.support.indexes import stored


class Counted:
    """A store that counts its calls: by what they do, and by the collection that comes first in each."""

    def __init__(self, inner):
        self._inner = inner
        self._lock = threading.Lock()
        self.calls: Counter[tuple[str, str]] = Counter()

    def get(self, path):
        self._count("get", path)
        return self._inner.get(path)

    def get_all(self, paths):
        self._count("get", *paths)
        return self._inner.get_all(paths)

    def query(self, query):
        self._count("query", query.collection)
        return self._inner.query(query)

    def commit(self, writes, **options):
        self._count("commit", writes[0].path)
        return self._inner.commit(writes, **options)

    def _count(self, call, *paths):
        with self._lock:
            self.calls[call, *(path.partition("/")[0] for path in paths)] += 1


def steady(**fields):
    """A turn of an instance that knows the account, the models and how long their answers are."""
    world = World(documents=Counted(stored()))
    world.user()
    conversation = world.conversation()
    for _ in range(40):
        world.ask(conversation, **fields)
    world.documents.calls.clear()
    return world, conversation


def test_in_steady_state_a_turn_is_two_round_trips_for_money():
    for fields in ({"max_output_tokens": 60}, {}):
        world, conversation = steady(**fields)

        world.ask(conversation, **fields)

        money = {call: times for call, times in world.documents.calls.items() if call[1] == "accounts"}
        assert money == {("commit", "accounts"): 2}


def test_in_steady_state_a_turn_is_one_read_and_two_commits():
    world, conversation = steady(max_output_tokens=60)

    world.ask(conversation, max_output_tokens=60)

    assert world.documents.calls == {
        ("get", "conversation_states", "users"): 1,
        ("commit", "accounts"): 2,
    }


def test_whoever_names_the_model_is_not_asked_what_they_prefer():
    world, conversation = steady(model="cheap")

    world.ask(conversation, model="cheap")

    assert ("get", "conversation_states") in world.documents.calls
    assert not any("users" in call for call in world.documents.calls)


def test_another_instance_reads_the_conversation_in_one_round_trip():
    world, conversation = steady(model="cheap")
    other = world.on(world.documents)

    answer_of(other.run(world.request(conversation, model="cheap")))

    talked = {call: times for call, times in world.documents.calls.items() if call[1].startswith("conversation")}
    assert talked == {("get", "conversation_states"): 1}


def test_preferences_are_not_read_for_a_conversation_that_names_a_model():
    world = World(documents=Counted(stored()))
    world.user()
    conversation = world.conversation(model="cheap")
    world.documents.calls.clear()

    world.ask(conversation)
    world.ask(conversation)

    assert not any("users" in call and call[0] == "get" for call in world.documents.calls)
