import re
from urllib.parse import quote

import pytest
from google.events.cloud.firestore_v1.types import Document, DocumentEventData

from functions.edge import UidNeverServed, decode_document, decode_user
from shared.kernel.ids import Uid
from shared.ledger.keys import PublicKey, Verifier
from shared.ledger.verify.exports import verify_account
from tests.api.world import Person, World, problem
from tests.support.uids import SUPPORTED, UNSUPPORTED


def signed_in(world: World, uid: str) -> Person:
    world.identity.sign_up(f"u{abs(hash(uid))}@example.org", uid=uid)
    return Person(world=world, uid=Uid(uid), token=world.identity.token(Uid(uid)))


@pytest.mark.parametrize("uid", SUPPORTED)
def test_a_user_of_any_uid_claims_chats_and_leaves(world, uid):
    person = signed_in(world, uid)

    claimed = person.post("/credits/welcome-bonus")
    said = person.post("/chat/conversations", {"message": "Hello"})
    key = person.key("chat", "read")
    through_the_key = key.get("/credits/balance")
    reserved = person.post("/credits/reserve", {"amount": "1"})
    painted = person.get("/images")
    left = person.call("DELETE", "/me")

    assert (claimed.status_code, said.status_code, reserved.status_code, left.status_code) == (201, 201, 201, 204)
    assert (through_the_key.status_code, painted.status_code) == (200, 200)
    assert world.services.credits.ledger.balance(Uid(uid)).status == "closed"


@pytest.mark.parametrize("uid", SUPPORTED)
def test_the_journal_of_any_uid_verifies_offline(world, uid):
    person = signed_in(world, uid)
    person.post("/credits/welcome-bonus")

    exported = person.get("/credits/export").get_data(as_text=True)

    keys = [PublicKey.from_json(key) for key in world.call("GET", "/ledger/keys").json["items"]]
    assert verify_account([f"{line}\n" for line in exported.rstrip("\n").split("\n")], Verifier(keys)) == []


@pytest.mark.parametrize("uid", SUPPORTED)
def test_an_operator_acts_on_a_user_of_any_uid(world, admin, uid):
    signed_in(world, uid).get("/me")
    path = f"/admin/users/{quote(uid, safe='')}"

    adjusted = admin.post(f"{path}/credits", {"amount": "5", "reason": "sorry"})

    assert adjusted.status_code in {200, 201}
    assert admin.get(path).json["uid"] == uid
    assert admin.get(path).json["balance"]["available"] == "5"


@pytest.mark.parametrize("uid", UNSUPPORTED)
def test_a_uid_without_a_document_is_refused_by_name(world, uid):
    person = signed_in(world, uid)

    for refused in (person.get("/me"), person.get("/credits/balance"), person.post("/credits/welcome-bonus")):
        assert problem(refused) == (403, "uid_not_supported")


@pytest.mark.parametrize("uid", SUPPORTED)
def test_the_end_of_a_login_is_read_with_any_uid(uid):
    plain = {"time": "2026-11-30T10:00:00Z", "subject": f"users/{uid}"}
    encoded = {"time": "2026-11-30T10:00:00Z", "subject": f"users/{quote(uid, safe='')}"}

    for attributes in (plain, encoded):
        assert decode_user(Event(attributes, {"value": {"uid": uid}})).uid == uid


@pytest.mark.parametrize("uid", UNSUPPORTED)
def test_the_end_of_a_login_that_had_no_account_is_dropped(uid):
    with pytest.raises(UidNeverServed):
        decode_user(Event({"time": "2026-11-30T10:00:00Z"}, {"uid": uid}))


@pytest.mark.parametrize("uid", SUPPORTED)
def test_an_event_of_a_document_is_read_with_any_uid(uid):
    name = f"projects/p/databases/(default)/documents/accounts/{uid}/entries/1"
    data = DocumentEventData.serialize(DocumentEventData(value=Document(name=name)))

    mangled = uid.encode().decode("latin-1")
    for told in (uid, quote(uid, safe=""), mangled, re.sub(r"[^ -~]", "?", uid)):
        event = Event({"time": "2026-11-30T10:00:00Z", "document": f"accounts/{told}/entries/1"}, data)
        assert decode_document(event, "accounts/{uid}/entries/{seq}").params == {"uid": uid, "seq": "1"}


class Event(dict):
    """A CloudEvent of Firebase Auth."""

    def __init__(self, attributes: dict, data: object) -> None:
        super().__init__(attributes)
        self.data = data
