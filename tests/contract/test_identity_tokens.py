"""ID tokens as Google signs them, and as others forge them: FirebaseIdentity without an emulator."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import firebase_admin
import jwt
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from firebase_admin import auth, tenant_mgt
from requests.adapters import BaseAdapter

from emulator.walk import app_check_token
from shared.kernel.clock import HOUR
from shared.kernel.errors import DomainError
from shared.kernel.ids import Uid, new_id
from shared.platform.firebase_auth.app import EMULATOR_VARIABLE, firebase_app
from shared.platform.firebase_auth.identity import FirebaseIdentity
from shared.platform.memory.clock import ManualClock
from shared.users.ports import (
    AppCheckFailed,
    IdentityUnavailable,
    TenantRefused,
    TokenExpired,
    TokenInvalid,
    UidNotSupported,
)
from shared.users.principal import Principal
from tests.contract.test_identity import unsigned
from tests.support.emulators import environment
from tests.support.uids import SUPPORTED, UNSUPPORTED


class Certificates(BaseAdapter):
    """Google's certificate endpoint: one key, or an outage."""

    def __init__(self, certificate: str) -> None:
        super().__init__()
        self.certificate = certificate
        self.is_down = False
        self.asked = 0

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        self.asked += 1
        if self.is_down:
            raise requests.ConnectionError("no route")
        response = requests.Response()
        response.status_code = 200
        response.headers["Content-Type"] = "application/json"
        response._content = json.dumps({"google-1": self.certificate}).encode()
        response.request, response.url = request, str(request.url)
        return response

    def close(self) -> None:
        return


class Google:
    """Signs ID tokens for one project."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.clock = ManualClock(now=int(datetime.now(UTC).timestamp()) * 1000)
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.certificates = Certificates(certificate(self.key))
        self.identity = FirebaseIdentity(project, self.clock)

    def claims(self, **claims: object) -> dict[str, Any]:
        now = self.clock.now() // 1000
        usual = {
            "iss": f"https://securetoken.google.com/{self.project}",
            "aud": self.project,
            "sub": "ann",
            "iat": now,
            "exp": now + 3600,
            "firebase": {"sign_in_provider": "password"},
        }
        return {name: value for name, value in {**usual, **claims}.items() if value is not None}

    def token(self, *, key: Any = None, kid: str = "google-1", algorithm: str = "RS256", **claims: object) -> str:
        return jwt.encode(self.claims(**claims), key or self.key, algorithm=algorithm, headers={"kid": kid})


def certificate(key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "securetoken.system.gserviceaccount.com")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    dated = builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    return dated.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Google]:
    project = new_id("demo").replace("_", "-")
    google = Google(project)
    pem = google.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": project,
        "private_key": pem.decode(),
        "client_email": "robot@example.com",
        "token_uri": "https://nowhere.invalid/token",
    }
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.delenv("FIREBASE_AUTH_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    client = auth._get_client(firebase_app(project))
    client._token_verifier.request.session.mount("https://", google.certificates)
    yield google
    firebase_admin.delete_app(firebase_app(project))


def test_a_token_that_google_signed_is_believed(google: Google):
    token = google.token(
        email="ann@example.com", email_verified=True, phone_number="+15550100", name="Ann", roles=["admin", "x", 3]
    )

    assert google.identity.verify(token) == Principal(
        uid=Uid("ann"),
        email="ann@example.com",
        is_email_verified=True,
        phone="+15550100",
        name="Ann",
        roles=frozenset({"admin"}),
    )


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda g: g.token(key=rsa.generate_private_key(65537, 2048)), id="another's key"),
        pytest.param(lambda g: g.token(kid="google-2"), id="an unknown key"),
        pytest.param(lambda g: g.token()[:-4] + "AAAA", id="a changed signature"),
        pytest.param(lambda g: g.token().rpartition(".")[0] + ".", id="no signature"),
        pytest.param(lambda g: unsigned(g.project), id="an emulator's token"),
        pytest.param(lambda g: g.token(key=b"x" * 32, algorithm="HS256"), id="a shared secret"),
        pytest.param(lambda g: g.token(aud="another-project"), id="another project's audience"),
        pytest.param(lambda g: g.token(iss="https://securetoken.google.com/another"), id="another issuer"),
        pytest.param(lambda g: g.token(iss="https://accounts.google.com"), id="a Google sign-in token"),
        pytest.param(lambda g: g.token(sub=None), id="nobody"),
        pytest.param(lambda g: g.token(sub=""), id="an empty name"),
        pytest.param(lambda g: g.token(sub="x" * 129), id="a long name"),
        pytest.param(lambda g: g.token(exp=None), id="no end"),
        pytest.param(lambda g: g.token(iat=None), id="no beginning"),
        pytest.param(lambda g: g.token(iat=g.clock.now() // 1000 + 600), id="from the future"),
    ],
)
def test_what_google_did_not_sign_for_us_is_not_believed(google: Google, forge: Callable[[Google], str]):
    with pytest.raises(TokenInvalid):
        google.identity.verify(forge(google))


def test_an_expired_token_is_told_apart(google: Google):
    now = google.clock.now() // 1000

    with pytest.raises(TokenExpired):
        google.identity.verify(google.token(iat=now - 7200, exp=now - 3600))


def test_a_known_token_is_believed_without_a_second_look_until_it_expires(google: Google):
    token = google.token()
    google.identity.verify(token)
    google.certificates.is_down = True

    assert google.identity.verify(token).uid == "ann"
    google.clock.advance(HOUR + 10_000)
    with pytest.raises(DomainError):
        google.identity.verify(token)


def test_no_certificates_means_ask_again(google: Google):
    google.certificates.is_down = True

    with pytest.raises(IdentityUnavailable):
        google.identity.verify(google.token())


@pytest.mark.parametrize("name", [17, ["x"], {"a": 1}, True])
def test_odd_claims_mean_nothing(google: Google, name: object):
    token = google.token(name=name, email=name, phone_number=name, roles=name, firebase=name, email_verified="yes")

    assert google.identity.verify(token) == Principal(uid=Uid("ann"))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "ß", "x" * 8193])
def test_what_is_no_app_check_token_is_refused(google: Google, token: str):
    with pytest.raises(AppCheckFailed):
        google.identity.verify_app_check(token)


def test_a_token_of_a_tenant_is_refused_unless_the_tenant_is_set(google: Google):
    ours = google.token(firebase={"sign_in_provider": "password", "tenant": "ours"})
    identity = FirebaseIdentity(google.project, google.clock, tenants=("ours",))
    client = tenant_mgt.auth_for_tenant("ours", firebase_app(google.project))
    client._token_verifier.request.session.mount("https://", google.certificates)

    with pytest.raises(TenantRefused):
        google.identity.verify(ours)
    assert identity.verify(ours).uid == "ann"


@pytest.mark.parametrize("tenant", ["theirs", "OURS", "", 17, ["ours"], {"a": 1}, True])
def test_a_token_of_another_tenant_is_refused(google: Google, tenant: object):
    identity = FirebaseIdentity(google.project, google.clock, tenants=("ours",))

    with pytest.raises(TenantRefused):
        identity.verify(google.token(firebase={"sign_in_provider": "password", "tenant": tenant}))


class AppCheckKeys:
    """App Check's key set, without the network."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self.key = key.public_key()
        self.is_down = False

    def get_signing_key_from_jwt(self, token: str) -> Any:
        if self.is_down:
            raise jwt.exceptions.PyJWKClientConnectionError("no route")
        jwt.decode(token, options={"verify_signature": False})
        return self


def with_app_check(google: Google) -> AppCheckKeys:
    from firebase_admin import app_check

    keys = AppCheckKeys(google.key)
    app_check._get_app_check_service(firebase_app(google.project))._jwks_client = keys
    return keys


def app_token(google: Google, **claims: object) -> str:
    now = google.clock.now() // 1000
    usual = {
        "iss": "https://firebaseappcheck.googleapis.com/123",
        "aud": [f"projects/{google.project}"],
        "sub": "1:123:web:abc",
        "iat": now,
        "exp": now + 600,
    }
    return jwt.encode({**usual, **claims}, google.key, algorithm="RS256", headers={"typ": "JWT"})


def test_an_app_check_token_says_which_app(google: Google):
    with_app_check(google)

    assert google.identity.verify_app_check(app_token(google)) == "1:123:web:abc"


@pytest.mark.parametrize("claims", [{"aud": ["projects/another"]}, {"iss": "https://example.com/"}, {"exp": 1}])
def test_another_s_app_check_token_is_refused(google: Google, claims: dict[str, object]):
    with_app_check(google)

    with pytest.raises(AppCheckFailed):
        google.identity.verify_app_check(app_token(google, **claims))


def test_no_app_check_keys_means_ask_again(google: Google):
    with_app_check(google).is_down = True

    with pytest.raises(IdentityUnavailable):
        google.identity.verify_app_check(app_token(google))


@pytest.mark.parametrize("uid", SUPPORTED)
def test_a_token_names_its_user_in_any_script(google: Google, uid: str):
    assert google.identity.verify(google.token(sub=uid)).uid == uid


@pytest.mark.parametrize("uid", UNSUPPORTED)
def test_a_valid_token_is_refused_when_no_document_has_its_uid(google: Google, uid: str):
    with pytest.raises(UidNotSupported):
        google.identity.verify(google.token(sub=uid))


def test_a_laptop_takes_an_unsigned_app_check_token(google: Google):
    token = app_check_token(google.project)

    with environment({EMULATOR_VARIABLE: "127.0.0.1:1"}):
        assert google.identity.verify_app_check(token) == "walk"
        with pytest.raises(AppCheckFailed):
            FirebaseIdentity("another-project", google.clock).verify_app_check(token)


def test_production_takes_no_unsigned_app_check_token(google: Google):
    with_app_check(google)

    with pytest.raises(AppCheckFailed):
        google.identity.verify_app_check(app_check_token(google.project))
