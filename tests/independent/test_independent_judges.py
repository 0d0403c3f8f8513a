"""Software of others judges our checkpoints, proofs and tiles: each is accepted, and refused with one bit changed."""

import json
import os
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from emulator.tools import ROOT, node
from tests.independent.cases import SIZE, Statement, statements

JUDGES = Path(__file__).parent / "judges"
GO_SOURCES = Path("/usr/share/gocode")
SECONDS_MAX = 120


@pytest.fixture(scope="module")
def said() -> list[Statement]:
    return statements()


def wrong(said: Sequence[Statement], verdicts: Sequence[bool]) -> list[str]:
    """Names of the statements that were judged otherwise than they are."""
    assert len(said) == len(verdicts)
    return [each.name for each, verdict in zip(said, verdicts, strict=True) if verdict is not each.is_true]


def judged(command: Sequence[str], said: Sequence[Statement], **environment: str) -> list[bool]:
    done = subprocess.run(
        command,
        input=json.dumps([each.to_json() for each in said]),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    verdicts: list[bool] = json.loads(done.stdout)
    return verdicts


def test_gos_checksum_database_accepts_all_and_refuses_each_changed_bit(said, tmp_path):
    go = shutil.which("go")
    if go is None or not (GO_SOURCES / "src/golang.org/x/mod/sumdb").is_dir():
        pytest.skip("Debian's golang-go and golang-golang-x-mod-dev are not installed")

    verdicts = judged(
        [go, "run", str(JUDGES / "judge.go")],
        said,
        GO111MODULE="off",
        GOPATH=str(GO_SOURCES),
        GOFLAGS="",
        HOME=str(tmp_path),
    )

    assert wrong(said, verdicts) == []


def test_tlog_scales_accepts_all_and_refuses_each_changed_bit(said):
    pytest.importorskip("tlog_scales", reason="tlog-scales is not installed")

    assert wrong(said, [scales_accepts(each) for each in said]) == []


def test_sigstore_for_python_accepts_each_proof_and_refuses_each_changed_bit(said):
    pytest.importorskip("sigstore", reason="sigstore is not installed")
    records = [each for each in said if each.kind == "record"]

    assert wrong(records, [sigstore_accepts(each.said) for each in records]) == []


def test_sigstore_for_node_accepts_all_and_refuses_each_changed_bit(said):
    modules = ROOT / "emulator" / "node_modules"
    if not (modules / "@sigstore/verify").is_dir():
        pytest.skip("npm's @sigstore/verify is not installed")
    known = [each for each in said if each.kind in {"note", "record"}]

    verdicts = judged([node(), str(JUDGES / "judge.cjs"), str(modules)], known)

    assert wrong(known, verdicts) == []


def test_the_statements_are_many_and_of_every_kind(said):
    counts = {
        kind: [each.is_true for each in said if each.kind == kind] for kind in ("note", "record", "tree", "tiles")
    }

    assert all(True in each and each.count(False) >= 12 for each in counts.values())


def scales_accepts(statement: Statement) -> bool:
    from cryptography.exceptions import InvalidSignature
    from tlog_scales.tlog import ConsistencyProofInvalid, InclusionProofInvalid

    judge = {"note": _note, "record": _record, "tree": _tree, "tiles": _tiles}[statement.kind]
    try:
        return judge(statement.said)
    except (InclusionProofInvalid, ConsistencyProofInvalid, InvalidSignature):
        return False
    except RuntimeError as error:
        if "no signature matched vkey" not in str(error):
            raise
        return False


def _note(said: Mapping[str, Any]) -> bool:
    from tlog_scales.signing import Vkey
    from tlog_scales.tlog import Checkpoint

    Checkpoint.from_text(b64decode(said["note"]).decode()).verify(Vkey.from_string(said["vkey"]))
    return True


def _record(said: Mapping[str, Any]) -> bool:
    from tlog_scales.tiles import leaf_hash
    from tlog_scales.tlog import InclusionProof

    hashes = [b64decode(each) for each in said["proof"]]
    InclusionProof(said["index"], said["size"], hashes).check(
        leaf_hash(b64decode(said["leaf"])), b64decode(said["root"])
    )
    return True


def _tree(said: Mapping[str, Any]) -> bool:
    from tlog_scales.tlog import ConsistencyProof

    hashes = [b64decode(each) for each in said["proof"]]
    ConsistencyProof(said["old"], said["size"], hashes).check(b64decode(said["old_root"]), b64decode(said["root"]))
    return True


def _tiles(said: Mapping[str, Any]) -> bool:
    from tlog_scales.reader import TilesReader
    from tlog_scales.tiles import leaf_hash

    files = {path: b64decode(data) for path, data in said["files"].items()}
    reader = TilesReader(SimpleNamespace(get=lambda *path: files.get("/".join(path))))
    reader.set_size(SIZE)
    root = b64decode(said["root"])
    proof = reader.get_inclusion_proof(said["index"], SIZE)
    proof.check(leaf_hash(b64decode(said["leaf"])), root)
    return bool(reader.calculate_root_hash() == root)


def sigstore_accepts(said: Mapping[str, Any]) -> bool:
    from sigstore._internal.merkle import verify_merkle_inclusion
    from sigstore.errors import VerificationError

    proof = SimpleNamespace(
        log_index=said["index"],
        tree_size=said["size"],
        hashes=[b64decode(each) for each in said["proof"]],
        root_hash=b64decode(said["root"]),
    )
    inner = SimpleNamespace(inclusion_proof=proof, canonicalized_body=b64decode(said["leaf"]))
    try:
        verify_merkle_inclusion(SimpleNamespace(_inner=inner))  # type: ignore[arg-type]  # only these parts are read
    except VerificationError:
        return False
    return True
