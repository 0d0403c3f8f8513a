import pytest

from shared.kernel.clock import HOUR, MINUTE, SECOND
from shared.kernel.documents import StoreUnavailable
from shared.kernel.ids import Uid, new_id, operation_id
from shared.platform.memory.clock import ManualClock
from shared.users import key_lookup
from shared.users.api_keys import ApiKeys, KeyWanted, new_key
from shared.users.key_lookup import ApiKeyExpired, ApiKeyInvalid, KeyLookup
from tests.support.faults import FaultyDocuments
from tests.support.indexes import stored

ANN = Uid("ann")


class Instances:
    """One store, one clock, and as many instances as a test asks for."""

    def __init__(self) -> None:
        self.documents, self.clock = FaultyDocuments(stored()), ManualClock()
        self.keys = ApiKeys(self.documents, self.clock)

    def one(self) -> KeyLookup:
        return KeyLookup(ApiKeys(self.documents, self.clock), self.clock, spawn=lambda work: work())

    def key(self, *, expires_at: int | None = None):
        wanted = KeyWanted(name="k", scopes=frozenset({"chat"}), expires_at=expires_at)
        return self.keys.create(ANN, wanted, operation_id(new_id("op")), "f")

    def reads(self, work) -> int:
        before = self.documents.calls
        work()
        return self.documents.calls - before


def test_a_key_says_whose_it_is_and_what_it_is_for():
    all_ = Instances()
    key, text = all_.key()

    caller = all_.one().verify(text)

    assert caller == key.principal
    assert (caller.uid, caller.auth, caller.is_anonymous, caller.roles, caller.email) == (
        ANN, "api_key", False, frozenset(), None
    )  # fmt: skip
    assert caller.key is not None
    assert (caller.key.scopes, caller.spender) == (frozenset({"chat"}), f"key:{key.id}")


def test_a_key_in_use_costs_no_read_and_one_that_rested_costs_one():
    all_ = Instances()
    _, text = all_.key()
    lookup = all_.one()
    lookup.verify(text)

    assert all_.reads(lambda: lookup.verify(text)) == 0
    all_.clock.advance(5 * SECOND)
    assert all_.reads(lambda: lookup.verify(text)) == 1


def test_a_revoked_key_stops_within_five_seconds_on_every_instance():
    all_ = Instances()
    key, text = all_.key()
    here, there = all_.one(), all_.one()
    here.verify(text)
    there.verify(text)

    all_.keys.revoke(ANN, key.id)
    here.forget_key(key.id)

    with pytest.raises(ApiKeyInvalid):
        here.verify(text)
    all_.clock.advance(5 * SECOND)
    with pytest.raises(ApiKeyInvalid):
        there.verify(text)
    with pytest.raises(ApiKeyInvalid):
        all_.one().verify(text)


def test_a_slow_read_does_not_prolong_what_it_read():
    all_ = Instances()
    key, text = all_.key()
    lookup = all_.one()
    find = lookup._keys.find

    def slow(key_id):
        found = find(key_id)
        all_.clock.advance(3 * SECOND)
        all_.keys.revoke(ANN, key.id)
        return found

    lookup._keys.find = slow  # type: ignore[method-assign]
    lookup.verify(text)
    lookup._keys.find = find  # type: ignore[method-assign]
    all_.clock.advance(2 * SECOND)

    with pytest.raises(ApiKeyInvalid):
        lookup.verify(text)


@pytest.mark.parametrize("text", ["", "ics_", "ics_" + "0" * 48, "ics_" + "x" * 10_000, "ics_\0"])
def test_what_cannot_be_a_key_costs_no_read(text):
    all_ = Instances()

    def attempt() -> None:
        with pytest.raises(ApiKeyInvalid):
            all_.one().verify(text)

    assert all_.reads(attempt) == 0


def test_a_key_that_is_nobodys_costs_one_read_however_often_it_is_tried():
    all_ = Instances()
    lookup, guess = all_.one(), new_key()

    def attempt() -> None:
        with pytest.raises(ApiKeyInvalid):
            lookup.verify(guess)

    assert [all_.reads(attempt) for _ in range(3)] == [1, 0, 0]


def test_guesses_push_out_no_key_and_are_bounded(monkeypatch):
    monkeypatch.setattr(key_lookup, "UNKNOWN_MAX", 10)
    all_ = Instances()
    _, text = all_.key()
    lookup = all_.one()
    lookup.verify(text)
    for _ in range(50):
        with pytest.raises(ApiKeyInvalid):
            lookup.verify(new_key())

    assert all_.reads(lambda: lookup.verify(text)) == 0
    assert len(lookup._unknown) == 10


def test_keys_that_are_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(key_lookup, "KNOWN_MAX", 3)
    all_ = Instances()
    lookup, texts = all_.one(), [all_.key()[1] for _ in range(5)]

    for text in texts:
        lookup.verify(text)

    assert (len(lookup._known), len(lookup._noted)) == (3, 3)
    assert all_.reads(lambda: lookup.verify(texts[-1])) == 0


def test_a_key_ends_when_its_time_is_up_also_where_it_is_remembered():
    all_ = Instances()
    _, text = all_.key(expires_at=all_.clock.now() + 2 * SECOND)
    lookup = all_.one()
    lookup.verify(text)

    all_.clock.advance(2 * SECOND)

    with pytest.raises(ApiKeyExpired):
        lookup.verify(text)


def test_an_id_that_two_keys_share_lets_in_only_the_one_that_is_stored(monkeypatch):
    all_ = Instances()
    monkeypatch.setattr("shared.users.api_keys.id_of", lambda _: "key_same")
    monkeypatch.setattr(key_lookup, "id_of", lambda _: "key_same")
    _, text = all_.key()

    assert all_.one().verify(text).uid == ANN
    with pytest.raises(ApiKeyInvalid):
        all_.one().verify(new_key())


def test_a_use_is_written_at_most_once_a_minute():
    all_ = Instances()
    key, text = all_.key()
    here, there = all_.one(), all_.one()
    commits = all_.documents.commits

    for _ in range(59):
        here.verify(text)
        there.verify(text)
        all_.clock.advance(SECOND)

    assert 1 <= all_.documents.commits - commits <= 2
    found = all_.keys.find(key.id)
    assert found is not None
    assert found.last_used_at is not None
    all_.clock.advance(MINUTE)
    here.verify(text)
    later = all_.keys.find(key.id)
    assert later is not None
    assert later.last_used_at == all_.clock.now() > found.last_used_at


def test_a_use_that_cannot_be_written_fails_nobody(capsys):
    all_ = Instances()
    _, text = all_.key()
    lookup = KeyLookup(
        ApiKeys(FaultyDocuments(all_.documents, at=1, error=StoreUnavailable()), all_.clock),
        all_.clock,
        spawn=lambda work: work(),
    )

    assert lookup.verify(text).uid == ANN
    told = capsys.readouterr().out
    assert "key_use_not_noted" in told
    assert text not in told


def test_a_store_that_is_away_is_not_an_invalid_key():
    all_ = Instances()
    _, text = all_.key()

    class Away:
        def find(self, key_id):
            raise StoreUnavailable

    with pytest.raises(StoreUnavailable):
        KeyLookup(Away(), all_.clock).verify(text)  # type: ignore[arg-type]


def test_a_key_lives_on_for_as_long_as_it_is_not_revoked():
    all_ = Instances()
    _, text = all_.key()
    lookup = all_.one()
    for _ in range(24):
        all_.clock.advance(HOUR)
        assert lookup.verify(text).uid == ANN
