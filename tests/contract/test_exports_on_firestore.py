"""On Firestore: exports of accounts and of the whole log have the evidence that a policy accepts."""

import pytest

from shared.bootstrap.schemas import versioned
from shared.ledger.log.signed_heads import read_signed_head
from shared.ledger.log_export import LogExport
from shared.ledger.verify.command.main import main
from shared.ledger.verify.command.report import SOUND
from shared.platform.firestore.documents import connect
from tests.support.logged_exports import ANN, BOB, POLICY, LoggedLedger
from tests.support.rotations import Fleet


@pytest.fixture
def ledger(firestore_emulator, project) -> LoggedLedger:
    return LoggedLedger(Fleet(documents=versioned(connect(project))))


def test_exports_on_firestore_are_vouched_for_and_complete(ledger, tmp_path, capsys):
    signed = read_signed_head(ledger.documents)
    assert signed is not None
    export = LogExport(ledger.documents, ledger.services.credits.keys, "demo-test")
    files = {"ann": ledger.export(ANN), "bob": ledger.export(BOB), "log": [export.header(), *export.lines(10)]}
    for name, lines in files.items():
        (tmp_path / name).write_text("".join(lines))
    (tmp_path / "policy").write_text(POLICY)

    code = main(["--policy", str(tmp_path / "policy"), "--require-policy", *(str(tmp_path / name) for name in files)])

    told = capsys.readouterr().out
    assert (code, signed.head.size) == (SOUND, 10)
    assert told.count("Nothing up to day 2026-09-21 is missing.") == 2
    assert "the root of all 10 leaves" in told
