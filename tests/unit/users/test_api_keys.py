import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.kernel.documents import OutcomeUnknown, PreconditionFailed
from shared.kernel.errors import DomainError, IdempotencyMismatch
from shared.kernel.ids import OperationId, Uid, new_id
from shared.kernel.money import Micro
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.users import api_keys
from shared.users.api_keys import (
    KEYS_MAX,
    ApiKeys,
    KeyNotFound,
    KeyShownBefore,
    KeyWanted,
    TooManyKeys,
    is_key,
    new_key,
)
from shared.users.spend_cap import SpendCap
from tests.support.faults import Crash, FaultyDocuments
from tests.support.indexes import IndexCheckedDocuments, stored

ANN = Uid("ann")
WANTED = KeyWanted(
    name="server", scopes=frozenset({"chat"}), cap=SpendCap(amount=Micro(5), period="day"), expires_at=9_999_999_999_999
)


def keys(documents=None) -> ApiKeys:
    return ApiKeys(documents or stored(), ManualClock())


def made(repository: ApiKeys, uid: Uid = ANN, operation: str = "", fingerprint: str = "f"):
    return repository.create(uid, WANTED, OperationId(operation or new_id("op")), fingerprint)


def test_a_key_is_long_random_and_checks_itself():
    texts = {new_key() for _ in range(1_000)}

    assert len(texts) == 1_000
    assert all(is_key(text) for text in texts)
    assert {len(text) for text in texts} == {len("ics_") + 40 + 8}


@pytest.mark.parametrize("place", range(4, 52))
def test_a_typing_error_is_seen_without_a_look(place):
    text = new_key()
    wrong = text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :]

    assert not is_key(wrong)


@pytest.mark.parametrize(
    "text", ["", "ics_", "ics_" + "0" * 48, new_key().upper(), new_key() + "0", f" {new_key()}", "ics_é"]
)
def test_what_is_no_key_is_none(text):
    assert not is_key(text)


def test_a_key_is_found_as_it_was_made():
    repository = keys()

    key, text = made(repository)

    assert repository.find(key.id) == key
    assert repository.of(ANN) == [key]
    assert (key.id, key.is_of(text), key.is_of(new_key())) == (api_keys.id_of(text), True, False)
    assert (key.last_four, key.cap, key.expires_at) == (text[-4:], WANTED.cap, WANTED.expires_at)


def test_nothing_stored_is_the_key_or_a_part_of_it():
    documents = MemoryDocuments()
    _, text = made(keys(documents))

    everything = repr([(d.path, d.data) for d in documents._documents.values()])

    assert text not in everything
    assert not any(text[start : start + 8] in everything for start in range(4, len(text) - 7))


def test_a_revoked_key_is_gone_and_the_others_stay():
    repository = keys()
    first, second = made(repository)[0], made(repository)[0]

    repository.revoke(ANN, first.id)

    assert repository.of(ANN) == [second]
    assert repository.find(first.id) is None
    with pytest.raises(KeyNotFound):
        repository.revoke(ANN, first.id)


def test_nobody_revokes_another_users_key():
    repository = keys()
    key, _ = made(repository)

    with pytest.raises(KeyNotFound):
        repository.revoke(Uid("bob"), key.id)

    assert repository.of(ANN) == [key]


def test_the_same_operation_makes_one_key_and_shows_it_once():
    repository = keys()
    key, _ = made(repository, operation="op_1")

    with pytest.raises(KeyShownBefore) as shown:
        made(repository, operation="op_1")
    with pytest.raises(IdempotencyMismatch):
        made(repository, operation="op_1", fingerprint="another")

    assert shown.value.params == {"id": key.id}
    assert repository.of(ANN) == [key]


def test_the_same_operation_at_once_makes_one_key():
    documents, gate = stored(), threading.Barrier(8)

    def attempt(_: int) -> str:
        gate.wait()
        try:
            return made(keys(documents), operation="op_1")[0].id
        except KeyShownBefore as error:
            return str(error.params["id"])
        except PreconditionFailed:
            return ""

    with ThreadPoolExecutor(8) as pool:
        told = set(pool.map(attempt, range(8))) - {""}

    assert told == {key.id for key in keys(documents).of(ANN)}
    assert len(told) == 1


def test_there_are_never_more_keys_than_a_user_may_have():
    documents = stored()
    for _ in range(KEYS_MAX - 2):
        made(keys(documents))

    def attempt(_: int) -> bool:
        try:
            made(keys(documents))
        except DomainError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(attempt, range(8)))

    assert (sum(results), len(keys(documents).of(ANN))) == (2, KEYS_MAX)
    with pytest.raises(TooManyKeys):
        made(keys(documents))
    assert made(keys(documents), uid=Uid("bob"))[0].uid == "bob"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", [Crash(), OutcomeUnknown()])
def test_a_key_whose_making_was_unclear_can_be_asked_for_again(when, error):
    documents = stored()
    with pytest.raises(type(error)):
        made(keys(FaultyDocuments(documents, at=1, when=when, error=error)), operation="op_1")

    try:
        made(keys(documents), operation="op_1")
    except KeyShownBefore as shown:
        keys(documents).revoke(ANN, str(shown.params["id"]))
        made(keys(documents), operation="op_1")

    assert len(keys(documents).of(ANN)) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_revocation_that_was_unclear_can_be_asked_for_again(when):
    documents = stored()
    key, _ = made(keys(documents))
    with pytest.raises(OutcomeUnknown):
        keys(FaultyDocuments(documents, at=1, when=when, error=OutcomeUnknown())).revoke(ANN, key.id)

    if keys(documents).find(key.id) is not None:
        keys(documents).revoke(ANN, key.id)

    assert keys(documents).of(ANN) == []


def test_a_use_that_is_noted_late_does_not_bring_a_revoked_key_back():
    repository = keys()
    key, _ = made(repository)
    repository.used(key.id)
    assert repository.of(ANN)[0].last_used_at == ManualClock().now()
    repository.revoke(ANN, key.id)

    with pytest.raises(PreconditionFailed):
        repository.used(key.id)

    assert repository.find(key.id) is None


@pytest.mark.parametrize("at", [1, 2])
def test_who_leaves_takes_all_keys_along_whatever_crashes(at):
    inner = MemoryDocuments()
    documents = IndexCheckedDocuments(inner)
    for _ in range(3):
        made(keys(documents))
    other, _ = made(keys(documents), uid=Uid("bob"))
    if at == 1:
        with pytest.raises(Crash):
            keys(FaultyDocuments(documents, at=at)).erase(ANN)

    keys(documents).erase(ANN)
    keys(documents).erase(ANN)

    assert keys(documents).of(ANN) == []
    assert [d.path for d in inner._documents.values() if "api_keys" in d.path and "bob" not in d.path] == [
        f"api_keys/{other.id}"
    ]
