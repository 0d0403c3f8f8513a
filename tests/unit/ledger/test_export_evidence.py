"""An export carries leaves of the log: the policy vouches for its keys, and nothing up to a closed day is missing."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import orjson
import pytest

from shared.kernel.documents import Delete, Patch, Put
from shared.kernel.ids import Uid
from shared.kernel.settings import SigningKey
from shared.ledger.account_documents import account_path, state_path
from shared.ledger.document_paths import entry_path
from shared.ledger.key_registry import NO_KEYS, KeyChange, KeyEntry, key_body
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import KEY_CONTEXT
from shared.ledger.log.checkpoints import parse_checkpoint
from shared.ledger.log.day_store import closed_path
from shared.ledger.log.head import HEAD_PATH
from shared.ledger.log.notes import COSIGNATURE, SeedSigner, cosignature, parse_note
from shared.ledger.log.signed_heads import CHECKPOINT_PATH
from shared.ledger.log.typed_leaves import queue_leaf, read_leaf, typed_leaf_path
from shared.ledger.verify.command import crew, units
from shared.ledger.verify.command.main import main
from shared.ledger.verify.command.report import BROKEN, NOT_CHECKED, SOUND
from tests.support.ledgers import charge, grant
from tests.support.log_trees import SIGNER
from tests.support.logged_exports import ANN, BOB, POLICY, LoggedLedger
from tests.tamper.exports import line_of, sealed_header

CY = Uid("cy")
WITNESS = SeedSigner("witness.example", bytes(range(9, 41)), kind=COSIGNATURE)
THIEF = KeyRing((SigningKey(kid="mine", seed=bytes(range(7, 39))),))
Header = dict[str, Any]


@pytest.fixture(scope="module")
def honest() -> LoggedLedger:
    """Ledger that no test changes."""
    return LoggedLedger()


@pytest.fixture
def ledger() -> LoggedLedger:
    return LoggedLedger()


@pytest.fixture
def checked(tmp_path, capsys) -> Callable[..., tuple[int, str]]:
    """Verifies lines with a policy, and returns code and report."""

    def check(lines: list[str], policy: str | None = POLICY, *options: str) -> tuple[int, str]:
        (tmp_path / "export").write_text("".join(lines))
        (tmp_path / "policy").write_text(policy or "")
        trust = [] if policy is None else ["--policy", str(tmp_path / "policy"), "--require-policy"]
        code = main([*trust, *options, str(tmp_path / "export")])
        told = capsys.readouterr()
        return code, (told.out + told.err).replace(f"{tmp_path / 'export'}: ", "")

    return check


def with_header(
    ledger: LoggedLedger, lines: list[str], change: Callable[[Header], None], ring: Any = None
) -> list[str]:
    """The export with another header, sealed by the ledger's key or by `ring`."""
    header = deepcopy(orjson.loads(lines[0]))
    change(header)
    return [line_of(sealed_header(header, ring or ledger.services.credits.keys)).decode(), *lines[1:]]


def test_policy_vouches_for_keys_that_the_log_has(honest, checked):
    code, told = checked(honest.export())

    assert code == SOUND
    assert "The policy vouches for the keys. Nothing up to day 2026-09-21 is missing." in told
    assert "not checked: whether a key has ended since day 2026-09-21" in told


def test_export_without_a_policy_is_consistent_and_says_whose_keys(honest, checked):
    code, told = checked(honest.export(), None)

    assert code == SOUND
    assert "consistent in itself, keys not vouched for: new SHA256:" in told
    assert "Nothing up to day 2026-09-21 is missing." in told


def test_export_is_smaller_evidence_before_the_log_has_a_checkpoint(ledger, checked):
    ledger.documents.commit([Delete(CHECKPOINT_PATH)])

    code, told = checked(ledger.export())

    assert code == NOT_CHECKED
    assert "no policy vouches for its keys: new SHA256:" in told
    assert "whether anything is missing at the end: the export has no closed day of a log" in told


def test_key_that_the_checkpoint_has_not_is_named_and_not_vouched_for(ledger, checked):
    third = ledger.fleet.deploy(
        "third:CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=", "new:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
    )
    ledger.fleet.minute(third)

    code, told = checked(list(third.credits.ledger.export(ANN)))

    assert code == NOT_CHECKED
    assert "no policy vouches for its keys: third SHA256:" in told

    ledger.sign()

    assert checked(list(third.credits.ledger.export(ANN)))[0] == SOUND


def test_checkpoint_of_another_log_is_refused(honest, checked):
    other = SeedSigner("other.example", bytes(range(5, 37)))

    code, told = checked(honest.export(), f"log {other.vkey}\nquorum none\n")

    assert code == BROKEN
    assert "- 0 checkpoint No log of the policy has signed" in told


def test_split_view_is_refused_without_the_witness_of_the_policy(honest, checked):
    def cosign(header: Header) -> None:
        note = parse_note(header["checkpoint"])
        header["checkpoint"] = str(note.with_signatures([cosignature(note.text, WITNESS, 1_795_900_000)]))

    policy = f"log {SIGNER.vkey}\nwitness w {WITNESS.vkey}\nquorum w\n"

    alone, seen = checked(honest.export(), policy), checked(with_header(honest, honest.export(), cosign), policy)

    assert (alone[0], seen[0]) == (BROKEN, SOUND)
    assert "- 0 checkpoint The cosignatures (none) do not reach the quorum w." in alone[1]
    assert "no witness of a policy has signed" not in seen[1]


def test_signature_of_a_checkpoint_that_was_edited_is_refused(honest, checked):
    def change(header: Header) -> None:
        size = parse_checkpoint(parse_note(header["checkpoint"]).text).size
        header["checkpoint"] = header["checkpoint"].replace(f"\n{size}\n", f"\n{size + 1}\n")

    code, told = checked(with_header(honest, honest.export(), change))

    assert code == BROKEN
    assert "- 0 checkpoint" in told


def test_key_that_somebody_adds_to_the_header_is_not_vouched_for(honest, checked):
    def change(header: Header) -> None:
        header["keys"].append({**THIEF.registry[0].exported()})

    code, told = checked(with_header(honest, honest.export(), change, THIEF))

    assert code == NOT_CHECKED
    assert "no policy vouches for its keys: mine SHA256:" in told


def test_registry_of_somebody_else_is_not_part_of_the_log(honest, checked):
    change = KeyChange(kind="added", kid="mine", facts={"public_key": THIEF.registry[0].public_key, "since": 0})
    body = key_body(NO_KEYS, "demo-test", change, "mine", 1)
    entry = KeyEntry(body=body, signature="")
    entry = KeyEntry(body=body, signature=THIEF.sign(KEY_CONTEXT, entry.hash.encode()))

    def forge(header: Header) -> None:
        header["keys"] = [{**THIEF.registry[0].exported()}]
        header["log"] = {"keys": [{**header["log"]["keys"][0], **entry.to_json()}]}

    assert "- 0 inclusion" in checked(with_header(honest, honest.export(), forge, THIEF))[1]


def test_leaf_that_the_registry_does_not_have_never_gets_into_the_log(ledger):
    change = KeyChange(kind="added", kid="mine", facts={"public_key": THIEF.registry[0].public_key, "since": 0})
    entry = KeyEntry(body=key_body(NO_KEYS, "demo-test", change, "mine", 1), signature="")
    size = ledger.append()

    ledger.documents.commit([queue_leaf("key", "key-forged", entry.to_json(), ledger.fleet.clock.now())])

    assert ledger.append() == size
    leaf = read_leaf(ledger.documents, "key-forged")
    assert leaf is not None
    assert leaf.index is None


def test_retirement_before_the_closed_day_cannot_be_left_out(honest, checked):
    def forget(header: Header) -> None:
        header["log"]["keys"].pop()
        del next(each for each in header["keys"] if "until" in each)["until"]

    code, told = checked(with_header(honest, honest.export(), forget))

    assert code == BROKEN
    assert "- 0 registry line 1: entry 4 of the registry of keys is missing: 2026-09-21 counts 4" in told


def test_retirement_is_unknown_beside_an_export_without_a_closed_day(honest, checked):
    def forget(header: Header) -> None:
        header["log"] = {"keys": header["log"]["keys"][:3]}
        del next(each for each in header["keys"] if "until" in each)["until"]

    lines = honest.export()

    code, told = checked(with_header(honest, [lines[0], *lines[2:]], forget))

    assert code == SOUND
    assert "not checked: whether a key has ended since entry 3 of the registry of keys" in told


def test_older_header_says_how_far_the_registry_goes(ledger, checked):
    header = ledger.export()[0]
    ledger.run(ledger.services, ANN, charge("late", 1))
    ledger.sign()

    code, told = checked([header, *ledger.export()[1:]])

    assert code == SOUND
    assert "whether the ledger has added anything since" in told


def test_account_rolled_back_behind_a_closed_day_lacks_the_first_entry(ledger, checked):
    older = ledger.documents.get_all([account_path(BOB), state_path(BOB)])
    ledger.run(ledger.services, BOB, charge("b2", 5), charge("b3", 5))
    ledger.close_day()
    ledger.sign()
    lost = [Delete(entry_path(BOB, seq)) for seq in (2, 3)]
    ledger.documents.commit([*(Put(each.path, each.data) for each in older if each is not None), *lost])

    code, told = checked(ledger.export(BOB))

    assert code == BROKEN
    assert "bob 2 sequence entry 2 is missing: the closed day 2026-09-22 counts 3 entries" in told


def test_export_whose_end_is_cut_lacks_the_first_entry(honest, checked):
    lines = honest.export()

    code, told = checked([*lines[:4], lines[-1]])

    assert code == BROKEN
    assert "ann 3 sequence entry 3 is missing: the closed day 2026-09-21 counts 3 entries" in told


def test_older_account_without_its_place_is_found_beside_a_newer_header(ledger, checked):
    older = ledger.export()
    ledger.run(ledger.services, ANN, charge("late", 1))
    ledger.sign()

    code, told = checked([ledger.export()[0], *older[2:]])

    assert code == BROKEN
    assert "ann 0 day the account is older than 2026-09-21, and has no place in that day" in told


def test_account_that_began_behind_the_closed_day_needs_no_place(ledger, checked):
    ledger.run(ledger.services, CY, grant("c1", 5))
    new, old = ledger.export(CY), ledger.export(BOB)

    code, told = checked([*old, *new[1:]])

    assert code == SOUND
    assert "Nothing up to day 2026-09-21 is missing of 1 account." in told
    assert "whether anything is missing at the end of 1 account without a place in the closed day" in told


def test_day_before_is_told_until_the_log_has_the_last_one(ledger, checked):
    ledger.close_day()

    assert "Nothing up to day 2026-09-21 is missing." in checked(ledger.export())[1]

    ledger.sign()

    assert "Nothing up to day 2026-09-22 is missing." in checked(ledger.export())[1]


@pytest.mark.parametrize(
    ("path", "field", "lost"),
    [
        (HEAD_PATH, "tree", ""),
        (CHECKPOINT_PATH, "tree", "no policy vouches"),
        (CHECKPOINT_PATH, "note", "no policy vouches"),
        (typed_leaf_path("key-000000000001"), "leaf", "no policy vouches"),
        (typed_leaf_path("key-000000000001"), "index", "no policy vouches"),
        (typed_leaf_path("2026-09-21"), "index", "no policy vouches"),
        (closed_path("2026-09-21"), "record", "no closed day"),
        (closed_path("2026-09-21"), "roots", "no closed day"),
    ],
)
def test_export_with_broken_log_documents_has_less_evidence(ledger, checked, path, field, lost):
    ledger.documents.commit([Patch(path, {field: 1 if field == "index" else b"x"})])

    code, told = checked(ledger.export())

    assert code in {SOUND, NOT_CHECKED}
    assert lost in told


def test_large_account_meets_its_closed_day_on_many_workers(ledger, checked, monkeypatch):
    monkeypatch.setattr(crew, "SMALL_BYTES", 1)
    monkeypatch.setattr(units, "UNIT_BYTES", 1_000)
    monkeypatch.setattr(units, "PART_BYTES", 1_500)
    lines = [*ledger.export(), *ledger.export(BOB)[1:]]

    for jobs in ("1", "2"):
        code, told = checked(lines, POLICY, "--jobs", jobs)
        assert (code, "Nothing up to day 2026-09-21 is missing." in told) == (SOUND, True)
        assert "ann 4 sequence" in checked([*lines[:5], *lines[6:]], POLICY, "--jobs", jobs)[1]
        assert "ann 3 sequence" in checked([*lines[:4], *lines[6:]], POLICY, "--jobs", jobs)[1]


def test_report_in_json_has_the_log_and_the_closed_day(honest, checked):
    code, told = checked(honest.export(), POLICY, "--json")

    (file,) = orjson.loads(told)["files"]
    assert (code, {key["vouched_by"] for key in file["keys"]}) == (SOUND, {"policy"})
    assert file["log"] == {
        "log": "ledger.example.com/prod-1",
        "size": 10,
        "is_vouched": True,
        "witnesses": [],
        "day": "2026-09-21",
        "complete_accounts": 1,
        "is_whole": False,
    }
