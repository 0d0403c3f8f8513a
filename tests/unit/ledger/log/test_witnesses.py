"""Witnesses cosign what continues what they saw; a silent, wrong or hostile one only leaves its cosignature out."""

import pytest

from shared.ledger.log.head import EMPTY_HEAD
from shared.ledger.log.notes import SeedSigner, cosignature, signed
from shared.ledger.log.policy import parse_policy
from shared.ledger.log.witnesses import LogWitness, WitnessAnswer, WitnessSilent, request_body
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.witness import MemoryWitness
from tests.support.logs import ORIGIN, SignedLog, append, leaves

NAMES = ("w1.example", "w2.example")


class Calls:
    """Witnesses by address. Those of `silent` give no answer."""

    def __init__(self, *witnesses: MemoryWitness) -> None:
        self.by_url = {f"https://{each.vkey.name}": each for each in witnesses}
        self.silent: set[str] = set()
        self.asked: list[bytes] = []

    def add_checkpoint(self, url: str, body: bytes) -> WitnessAnswer:
        self.asked.append(body)
        if url in self.silent:
            raise WitnessSilent
        return self.by_url[url].add_checkpoint(url, body)


class Fixed:
    """A witness with one answer for everything."""

    def __init__(self, answer: WitnessAnswer) -> None:
        self.answer = answer

    def add_checkpoint(self, url, body):
        return self.answer


def witness(name: str) -> MemoryWitness:
    return MemoryWitness(name, name.encode().ljust(32), ManualClock())


def witnessed_log(calls, *vkeys) -> SignedLog:
    witnesses = [LogWitness(vkey=vkey, url=f"https://{vkey.name}") for vkey in vkeys]
    return SignedLog(calls=calls, witnesses=witnesses)


@pytest.fixture
def calls():
    return Calls(*map(witness, NAMES))


@pytest.fixture
def log(calls):
    made = witnessed_log(calls, *(each.vkey for each in calls.by_url.values()))
    for each in calls.by_url.values():
        each.trust(made.key.vkey)
    return made


def cosigners(log):
    return [each.name for each in log.served().note.signatures[1:]]


def test_every_checkpoint_is_cosigned_and_meets_a_policy(log, calls):
    keys = [each.vkey for each in calls.by_url.values()]
    lines = [f"witness w{number} {key}" for number, key in enumerate(keys)]
    policy = parse_policy("\n".join([f"log {log.key.vkey}", *lines, "group all all w0 w1", "quorum all", ""]))

    for first, end in [(0, 1), (1, 300), (300, 70_000)]:
        log.append(leaves(first, end))
        assert policy.verdict(log.sign().note).is_accepted

    assert (len(calls.asked), log.rules()) == (6, [])


def test_a_witness_that_knows_another_size_is_asked_from_there(log, calls):
    log.append(leaves(0, 9))
    log.sign()
    calls.silent = {"https://w1.example"}
    log.append(leaves(9, 20))
    log.sign()
    calls.silent = set()
    log.append(leaves(20, 30))

    log.sign()

    assert sorted(cosigners(log)) == [*NAMES]


def test_a_silent_witness_holds_nothing_up_and_is_asked_again(log, calls):
    calls.silent = {"https://w1.example"}
    log.append(leaves(0, 9))
    log.sign()
    assert (cosigners(log), log.key.count) == (["w2.example"], 1)
    calls.silent = set()

    log.sign()
    log.sign()

    assert (sorted(cosigners(log)), log.key.count, len(calls.asked)) == ([*NAMES], 1, 3)
    assert len(log.anchors.newest().note.signatures) == 1


def test_a_witness_that_saw_a_larger_tree_raises_an_alert(log):
    log.objects = None
    log.append(leaves(0, 20))
    log.sign()
    rolled_back = SignedLog(objects=None, calls=log.calls, witnesses=log.witnesses)
    rolled_back.append(leaves(0, 9))

    rolled_back.sign()

    assert [each.event for each in rolled_back.alerts.raised] == ["witness_disagrees"] * 2
    assert cosigners(rolled_back) == []


def test_a_witness_that_saw_another_tree_raises_an_alert(log):
    log.objects = None
    log.append(leaves(0, 9))
    log.sign()
    fork = SignedLog(objects=None, calls=log.calls, witnesses=log.witnesses)
    append(fork.documents, leaves(0, 20, "forged"), EMPTY_HEAD)

    fork.sign()

    assert {each.event for each in fork.alerts.raised} == {"witness_disagrees"}


KEY = witness("w1.example").vkey
OTHER = SeedSigner("other.example", bytes(32), kind=4)
SAME = SeedSigner(KEY.name, b"w1.example".ljust(32), kind=4)
TEXT = str(signed(f"{ORIGIN}\n1\n{'A' * 43}=\n", SeedSigner(ORIGIN, bytes(32))))
ANSWERS = {
    "nothing": (200, b""),
    "no signature line": (200, b"thank you\n"),
    "a broken line": (200, "— w1.example AAAA\n".encode()),
    "another key": (200, str(cosignature("a\n", OTHER, 1)).encode()),
    "a signature of another text": (
        200,
        str(cosignature("a\n", SAME, 1)).encode(),
    ),
    "bytes": (200, bytes(range(256))),
    "an unknown log": (404, b""),
    "a forbidden log": (403, b""),
    "a conflict without a size": (409, b""),
    "a conflict with a word": (409, b"one\n"),
    "a conflict with other digits": (409, "١\n".encode()),
    "a conflict with a huge size": (409, b"9" * 5_000),
    "a conflict with the same size": (409, b"0\n"),
    "a failure": (500, b"<html>"),
    "a redirect": (302, b""),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_wrong_answer_leaves_the_checkpoint_without_that_cosignature(answer):
    log = witnessed_log(Fixed(WitnessAnswer(status=answer[0], body=answer[1])), KEY)
    log.append(leaves(0, 9))

    served = log.sign()

    assert [each.name for each in served.note.signatures] == [ORIGIN]
    assert log.cursor.startswith("anchored 9 ")


REQUESTS = {
    "no old size": (b"\n\n", 400),
    "a leading zero": (b"old 01\n\n", 400),
    "no empty line": (b"old 0\n", 400),
    "a proof that is no base64": (b"old 1\n***\n\n", 400),
    "too long a proof": (b"old 1\n" + b"AAAA\n" * 64 + b"\n", 400),
}


@pytest.mark.parametrize(("body", "status"), REQUESTS.values(), ids=REQUESTS)
def test_the_witness_refuses_a_malformed_request(body, status):
    assert (
        witness("w1.example").add_checkpoint("", body + TEXT.encode() * (body != b"old 0\n\nnothing")).status == status
    )


def test_the_witness_refuses_as_the_specification_says():
    signer = SeedSigner(ORIGIN, bytes(32))
    made = witness("w1.example")
    good = signed(f"{ORIGIN}\n1\n{'A' * 43}=\n", signer)
    forged = signed(good.text, SeedSigner(ORIGIN, bytes([1]) * 32))
    empty = signed(f"{ORIGIN}\n0\n{'A' * 43}=\n", signer)

    def status(old, proof, note):
        return made.add_checkpoint("", request_body(old, proof, note)).status

    assert status(0, [], good) == 404
    made.trust(signer.vkey)
    assert status(0, [], forged) == 403
    assert status(2, [], good) == 400
    assert status(1, [], good) == 409
    assert status(0, [bytes(32)], good) == 422
    assert status(0, [], empty) == 422
    assert status(0, [], good) == 200
    assert status(1, [], good) == 200
    assert made.add_checkpoint("", request_body(0, [], good)).body == b"1\n"
