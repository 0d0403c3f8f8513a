"""One contract for identities: the memory adapter, and Firebase Auth as its emulator plays it."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import pytest
import requests

from emulator.suite import Suite
from shared.kernel.clock import HOUR, SystemClock
from shared.kernel.ids import Uid, new_id
from shared.platform.firebase_auth.identity import FirebaseIdentity
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.identity import MemoryIdentity
from shared.users.ports import (
    Identity,
    TenantRefused,
    TokenExpired,
    TokenInvalid,
    TokenRevoked,
    UserNotFound,
)
from shared.users.principal import Principal

pytestmark = pytest.mark.usefixtures("emulators")
"""Named for all of them, so that the environment is theirs, whatever else was started before."""


class Stage(Protocol):
    """An identity provider whose users a test can make."""

    @property
    def identity(self) -> Identity: ...

    def sign_up(self, email: str | None = None, *, is_verified: bool = True, name: str | None = None) -> Uid: ...
    def token(self, uid: Uid) -> str: ...
    def set_claims(self, uid: Uid, claims: Mapping[str, Any]) -> None: ...
    def claims(self, uid: Uid) -> Mapping[str, Any]: ...
    def revoke(self, uid: Uid) -> None: ...
    def disable(self, uid: Uid) -> None: ...
    def expired_token(self, uid: Uid) -> str: ...


class MemoryStage:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.identity = MemoryIdentity(self.clock)

    def sign_up(self, email: str | None = None, *, is_verified: bool = True, name: str | None = None) -> Uid:
        return self.identity.sign_up(email, is_email_verified=is_verified, name=name)

    def token(self, uid: Uid) -> str:
        return self.identity.token(uid)

    def set_claims(self, uid: Uid, claims: Mapping[str, Any]) -> None:
        self.identity._claims[uid] = dict(claims)

    def claims(self, uid: Uid) -> Mapping[str, Any]:
        return self.identity.claims(uid)

    def revoke(self, uid: Uid) -> None:
        self.clock.advance(1000)
        self.identity.revoke(uid)

    def disable(self, uid: Uid) -> None:
        self.identity.disable(uid)

    def expired_token(self, uid: Uid) -> str:
        token = self.identity.token(uid)
        self.clock.advance(HOUR)
        return token


class EmulatorStage:
    """Users by the emulator's REST API, as the SDKs and the console make them."""

    def __init__(self, suite: Suite) -> None:
        self.project = suite.project
        self.url = f"{suite.endpoints.auth}/identitytoolkit.googleapis.com/v1"
        self.identity = FirebaseIdentity(self.project, SystemClock())
        self._passwords: dict[Uid, str] = {}

    def sign_up(self, email: str | None = None, *, is_verified: bool = True, name: str | None = None) -> Uid:
        if email is None:
            answer = self._post("accounts:signUp?key=k", {"returnSecureToken": True})
            self._passwords[Uid(answer["localId"])] = answer["refreshToken"]
            return Uid(answer["localId"])
        user = {"email": email, "password": "correct horse", "emailVerified": is_verified, "displayName": name or ""}
        return Uid(self._post(f"projects/{self.project}/accounts", user)["localId"])

    def tenant(self) -> str:
        """A new tenant of the project, by its id."""
        url = f"{self.url.removesuffix('v1')}v2/projects/{self.project}/tenants"
        wanted = {"displayName": "acme", "allowPasswordSignup": True}
        answer = requests.post(url, json=wanted, headers={"Authorization": "Bearer owner"}, timeout=60)
        answer.raise_for_status()
        return str(answer.json()["name"]).rpartition("/")[2]

    def sign_up_in(self, tenant: str, email: str) -> tuple[Uid, str]:
        """A new user of a tenant, and an ID token of theirs."""
        wanted = {"tenantId": tenant, "email": email, "password": "correct horse", "returnSecureToken": True}
        answer = self._post("accounts:signUp?key=k", wanted)
        return Uid(answer["localId"]), str(answer["idToken"])

    def token(self, uid: Uid) -> str:
        refresh = self._passwords.get(uid)
        if refresh is not None:
            url = self.url.replace("identitytoolkit", "securetoken") + "/token?key=k"
            form = {"grant_type": "refresh_token", "refresh_token": refresh}
            return str(requests.post(url, form, timeout=60).json()["id_token"])
        email = self.identity.get_user(uid).email
        sign_in = {"email": email, "password": "correct horse", "returnSecureToken": True}
        return str(self._post("accounts:signInWithPassword?key=k", sign_in)["idToken"])

    def set_claims(self, uid: Uid, claims: Mapping[str, Any]) -> None:
        self._update(uid, {"customAttributes": json.dumps(claims)})

    def claims(self, uid: Uid) -> Mapping[str, Any]:
        (user,) = self._post(f"projects/{self.project}/accounts:lookup", {"localId": [uid]})["users"]
        found: Mapping[str, Any] = json.loads(user.get("customAttributes", "{}"))
        return found

    def revoke(self, uid: Uid) -> None:
        self._update(uid, {"validSince": str(SystemClock().now() // 1000 + 1)})

    def disable(self, uid: Uid) -> None:
        self._update(uid, {"disableUser": True})

    def expired_token(self, uid: Uid) -> str:
        now = SystemClock().now() // 1000
        return unsigned(self.project, sub=uid, iat=now - 7200, exp=now - 3600)

    def _update(self, uid: Uid, fields: Mapping[str, Any]) -> None:
        self._post(f"projects/{self.project}/accounts:update", {"localId": uid, **fields})

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {} if "key=" in path else {"Authorization": "Bearer owner"}
        answer = requests.post(f"{self.url}/{path}", json=body, headers=headers, timeout=60)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def unsigned(project: str, **claims: object) -> str:
    """A token as the emulator makes them: not signed at all."""
    now = SystemClock().now() // 1000
    usual = {
        "iss": f"https://securetoken.google.com/{project}",
        "aud": project,
        "sub": "ann",
        "iat": now,
        "exp": now + 3600,
        "firebase": {"sign_in_provider": "password"},
    }
    return f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded({**usual, **claims})}."


@pytest.fixture(params=["memory", "firebase"])
def stage(request: pytest.FixtureRequest) -> Stage:
    return MemoryStage() if request.param == "memory" else EmulatorStage(request.getfixturevalue("emulators"))


def address() -> str:
    return f"{new_id('ann')}@example.com"


def test_a_token_says_whose_it_is(stage: Stage):
    email = address()
    uid = stage.sign_up(email, name="Ann")

    principal = stage.identity.verify(stage.token(uid))

    assert principal.signed_in_at is not None
    assert replace(principal, signed_in_at=None) == Principal(uid=uid, email=email, is_email_verified=True, name="Ann")


def test_an_unverified_address_is_said_to_be_unverified(stage: Stage):
    uid = stage.sign_up(address(), is_verified=False)

    assert stage.identity.verify(stage.token(uid)).is_email_verified is False


def test_an_anonymous_user_is_known_as_one(stage: Stage):
    uid = stage.sign_up()

    principal = stage.identity.verify(stage.token(uid))

    assert replace(principal, signed_in_at=None) == Principal(uid=uid, is_anonymous=True)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "not a token",
        "e30.e30.",
        "W10.W10.",
        "bnVsbA.bnVsbA.",
        f"{encoded({'alg': 'none', 'kid': []})}.{encoded({})}.x",
        "x" * 8193,
        "ß.ß.ß",
        "\ud800.a.b",
        "e30.e30.e30.e30",
        base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.",
    ],
)
def test_what_is_no_token_is_nobody(stage: Stage, token: str):
    with pytest.raises(TokenInvalid):
        stage.identity.verify(token)


def test_an_expired_token_is_told_apart(stage: Stage):
    uid = stage.sign_up(address())

    with pytest.raises(TokenExpired):
        stage.identity.verify(stage.expired_token(uid))


def test_a_revoked_token_stands_until_somebody_asks(stage: Stage):
    uid = stage.sign_up(address())
    token = stage.token(uid)
    stage.revoke(uid)

    assert stage.identity.verify(token).uid == uid
    with pytest.raises(TokenRevoked):
        stage.identity.verify(token, is_fresh=True)


@pytest.mark.parametrize("end", ["disable", "delete"])
def test_who_is_disabled_or_gone_is_found_out_by_asking(stage: Stage, end: str):
    uid = stage.sign_up(address())
    token = stage.token(uid)
    assert stage.identity.verify(token, is_fresh=True).uid == uid
    if end == "disable":
        stage.disable(uid)
    else:
        stage.identity.delete_user(uid)

    with pytest.raises(TokenRevoked):
        stage.identity.verify(token, is_fresh=True)


def test_roles_stand_in_the_next_token_and_other_claims_stay(stage: Stage):
    uid = stage.sign_up(address())
    stage.set_claims(uid, {"plan": "gold", "roles": ["support"]})

    stage.identity.set_roles(uid, frozenset({"admin", "auditor"}))

    assert stage.identity.verify(stage.token(uid)).roles == {"admin", "auditor"}
    assert stage.identity.get_user(uid).roles == {"admin", "auditor"}
    assert stage.claims(uid) == {"plan": "gold", "roles": ["admin", "auditor"]}


def test_a_user_is_found_by_address_however_it_is_written(stage: Stage):
    email = address()
    uid = stage.sign_up(email)

    assert stage.identity.find_by_email(email.upper()) == stage.identity.get_user(uid)
    assert stage.identity.find_by_email(address()) is None


@pytest.mark.parametrize("email", ["", "no address", "a@b@c", "x" * 500, "\ud800@example.com"])
def test_what_is_no_address_is_nobody_s(stage: Stage, email: str):
    assert stage.identity.find_by_email(email) is None


@pytest.mark.parametrize("uid", ["nobody", "", "x" * 129, "a/b"])
def test_who_does_not_exist_is_not_found(stage: Stage, uid: str):
    with pytest.raises(UserNotFound):
        stage.identity.get_user(Uid(uid))
    with pytest.raises(UserNotFound):
        stage.identity.set_roles(Uid(uid), frozenset({"admin"}))


def test_a_deleted_user_is_gone_and_deleting_again_is_fine(stage: Stage):
    uid, other = stage.sign_up(address()), stage.sign_up(address())

    stage.identity.delete_user(uid)
    stage.identity.delete_user(uid)

    assert stage.identity.existing([uid, other]) == {other}
    assert stage.identity.existing([]) == frozenset()


def test_who_holds_a_role_is_found(stage: Stage):
    uid = stage.sign_up(address())
    stage.identity.set_roles(uid, frozenset({"auditor"}))

    assert uid in {user.uid for user in stage.identity.with_role("auditor")}
    assert uid not in {user.uid for user in stage.identity.with_role("admin")}


def test_users_of_a_tenant_are_nobody_unless_the_tenant_is_set(emulators: Suite):
    stage = EmulatorStage(emulators)
    tenant = stage.tenant()
    uid, token = stage.sign_up_in(tenant, address())
    identity = FirebaseIdentity(stage.project, SystemClock(), tenants=(tenant,))

    with pytest.raises(TenantRefused):
        stage.identity.verify(token)
    with pytest.raises(UserNotFound):
        stage.identity.get_user(uid)
    assert identity.verify(token, is_fresh=True).uid == uid
    assert identity.existing([uid]) == {uid}


def test_a_user_of_a_tenant_is_looked_up_changed_and_deleted_there(emulators: Suite):
    stage = EmulatorStage(emulators)
    tenant, email = stage.tenant(), address()
    uid, token = stage.sign_up_in(tenant, email)
    identity = FirebaseIdentity(stage.project, SystemClock(), tenants=(tenant,))

    identity.set_roles(uid, frozenset({"support"}))
    found = identity.find_by_email(email)
    identity.delete_user(uid)

    assert found is not None
    assert (found.uid, found.roles) == (uid, frozenset({"support"}))
    with pytest.raises(TokenRevoked):
        identity.verify(token, is_fresh=True)
