"""The bucket of anchors, the key in Cloud KMS and the witnesses of the log, as their adapters meet them over HTTP."""

import threading
import urllib.error
import urllib.request

import pytest

from emulator.stand_ins.google import GoogleStandIn
from emulator.stand_ins.google.apis.kms import put_key_version
from emulator.stand_ins.google.state import add_account
from emulator.stand_ins.wire import Answer
from emulator.stand_ins.witness import WitnessStandIn
from emulator.storage import StorageEmulator
from shared.kernel.ids import new_id
from shared.kernel.objects import StorageUnavailable
from shared.ledger.log.anchors import checkpoint_name
from shared.ledger.log.notes import VerifierKey, signed
from shared.ledger.log.signer import LogKeyUnavailable
from shared.ledger.log.witnesses import LogWitness, WitnessSilent, request_body
from shared.platform.kms.signer import KmsSigner
from shared.platform.memory.objects import MemoryAnchors
from shared.platform.storage.objects import CloudObjects
from shared.platform.witness import calls as witness_adapter
from shared.platform.witness.calls import HttpWitnessCalls
from tests.support.logs import ORIGIN, CountingSigner, SignedLog, leaves, tree_in

KEY = "projects/shop/locations/global/keyRings/log/cryptoKeys/checkpoints/cryptoKeyVersions/1"
SIGNER, OTHER = (f"{name}@shop.iam.gserviceaccount.com" for name in ("every-minute", "api"))
TEXT = f"{ORIGIN}\n1\n{'A' * 43}=\n"


@pytest.fixture(scope="module")
def storage():
    with StorageEmulator() as emulator:
        yield emulator


@pytest.fixture(params=["memory", "cloud"])
def bucket(request, monkeypatch):
    """An empty bucket of anchors."""
    if request.param == "memory":
        yield MemoryAnchors()
        return
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("storage").url)
    cloud = CloudObjects("demo-anchors", f"{new_id('b').replace('_', '-')}-anchors", retry_seconds=1.0)
    yield cloud
    cloud.close()


def test_an_anchor_is_written_once_and_never_deleted(bucket):
    assert bucket.put("checkpoint/1", b"first", "text/plain")
    assert not bucket.put("checkpoint/1", b"second", "text/plain")
    with pytest.raises(StorageUnavailable):
        bucket.delete("checkpoint/1")
    bucket.delete("checkpoint/2")

    assert bucket.read("checkpoint/1") == b"first"


def test_the_locked_bucket_refuses_an_upload_without_a_precondition(storage, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
    name = f"{new_id('b').replace('_', '-')}-anchors"
    CloudObjects("demo-anchors", name).put("tile/0/000", b"first", "text/plain")
    address = f"{storage.url}/upload/storage/v1/b/{name}/o?uploadType=media&name=tile%2F0%2F000"
    upload = urllib.request.Request(address, data=b"second", headers={"Content-Type": "text/plain"}, method="POST")

    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(upload, timeout=5)

    with refusal.value as answer:
        assert answer.code == 403


def test_a_log_is_anchored_in_the_bucket_and_proven_from_there(bucket):
    log = SignedLog(objects=bucket)

    for first, end in [(0, 1), (1, 257), (257, 700)]:
        log.append(leaves(first, end))
        log.sign()

    assert log.anchors.newest().checkpoint.size == 700
    assert tree_in(log.anchors).head(log.served().head.root) == log.served().head
    assert bucket.names("checkpoint/") == [checkpoint_name(size) for size in (700, 257, 1)]


# ── Cloud KMS ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def google():
    with GoogleStandIn() as google:
        project = google.add_project("shop")
        project.enable("cloudkms.googleapis.com")
        add_account(project, SIGNER)
        project.policy.grant("roles/cloudkms.signer", f"serviceAccount:{SIGNER}")
        google.state.principals |= {each: f"serviceAccount:{each}" for each in (SIGNER, OTHER)}
        yield google
        assert google.mistakes == []


@pytest.fixture
def key(google):
    """A signer with a new key in Cloud KMS, which acts as the account of `every_minute`."""
    public = put_key_version(google.state.projects["shop"], KEY)
    return signer_of(google, public)


def signer_of(google, public: bytes, token: str = SIGNER) -> KmsSigner:
    vkey = VerifierKey(name=ORIGIN, kind=1, public_key=public)
    return KmsSigner(KEY, vkey, token=lambda: token, api=f"{google.url}/cloudkms.googleapis.com/v1")


def test_a_key_in_cloud_kms_signs_with_one_call(google, key):
    log = SignedLog(key=CountingSigner(key))
    log.append(leaves(0, 9))

    log.sign()
    log.sign()

    assert log.served().vkey == str(key.vkey)
    assert [each.method.rpartition(".")[2] for each in google.requests] == ["asymmetricSign"]


def test_a_key_that_refuses_leaves_the_log_unsigned(google, key):
    put_key_version(google.state.projects["shop"], KEY)
    exchanged = SignedLog(key=CountingSigner(key))
    exchanged.append(leaves(0, 9))
    with pytest.raises(LogKeyUnavailable):
        exchanged.sign()
    google.state.projects["shop"].table("CryptoKeyVersion")[KEY]["state"] = "DISABLED"
    with pytest.raises(LogKeyUnavailable):
        signed(TEXT, key)

    assert exchanged.served() is None


FAULTS = [{"status": 403}, {"status": 429}, {"status": 500}, {"status": 503}, {"how": "reset"}]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_cloud_kms_is_unavailable_and_signs_later(google, key, fault):
    google.fail(**fault)
    with pytest.raises(LogKeyUnavailable):
        signed(TEXT, key)

    assert signed(TEXT, key).signatures_by([key.vkey])


def test_an_account_without_the_role_does_not_sign(google):
    public = put_key_version(google.state.projects["shop"], KEY)
    add_account(google.state.projects["shop"], OTHER)

    with pytest.raises(LogKeyUnavailable):
        signed(TEXT, signer_of(google, public, OTHER))


def test_credentials_that_cannot_be_made_are_unavailable(google, key):
    from google.auth.exceptions import DefaultCredentialsError

    def no_token() -> str:
        raise DefaultCredentialsError

    signer = KmsSigner(KEY, key.vkey, token=no_token)

    with pytest.raises(LogKeyUnavailable):
        signer.sign(b"text")


# ── witnesses ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def witness():
    with WitnessStandIn() as witness:
        yield witness


def test_a_witness_over_http_cosigns_every_checkpoint(witness):
    log = SignedLog(calls=HttpWitnessCalls(), witnesses=[LogWitness(vkey=witness.vkey, url=f"{witness.url}/")])
    witness.trust(log.key.vkey)

    for first, end in [(0, 1), (1, 300)]:
        log.append(leaves(first, end))
        log.sign()

    keys = [log.key.vkey, witness.vkey]
    assert list(log.served().note.signatures_by(keys)) == keys


def test_a_witness_that_fails_or_hangs_is_silent(witness, monkeypatch):
    monkeypatch.setattr(witness_adapter, "ANSWER_SECONDS_MAX", 0.2)
    calls, body = HttpWitnessCalls(), request_body(0, [], signed(TEXT, CountingSigner()))
    witness.answer_with(Answer(status=503), Answer(body=b"x" * 100_000))
    for _ in range(2):
        with pytest.raises(WitnessSilent):
            calls.add_checkpoint(witness.url, body)
    assert calls.add_checkpoint(witness.url, body).status == 404
    witness.hold()

    with pytest.raises(WitnessSilent):
        calls.add_checkpoint(witness.url, body)


def test_an_address_where_nobody_listens_is_silent():
    for url in ("http://127.0.0.1:9", "http://nowhere.invalid", "http://[::"):
        with pytest.raises(WitnessSilent):
            HttpWitnessCalls().add_checkpoint(url, b"")


def test_witnesses_are_asked_side_by_side(witness):
    with WitnessStandIn("other.example", bytes([1]) * 32) as other:
        asked = [LogWitness(vkey=each.vkey, url=each.url) for each in (witness, other)]
        log = SignedLog(calls=_Together(2), witnesses=asked)
        log.append(leaves(0, 9))

        log.sign()

    assert log.served() is not None


class _Together:
    """Calls that all wait for each other."""

    def __init__(self, count: int) -> None:
        self._barrier = threading.Barrier(count, timeout=10)

    def add_checkpoint(self, url, body):
        self._barrier.wait()
        raise WitnessSilent
