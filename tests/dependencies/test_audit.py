"""An audit is green only if the services looked at every package: each other answer is told, and none is green."""

import json
from datetime import date
from pathlib import Path

import pytest

from emulator.dependencies import audit as audits
from emulator.dependencies.audit import NOT_AUDITED, SOUND, VULNERABLE, exit_code
from emulator.dependencies.findings import (
    Accepted,
    Answer,
    Audited,
    AuditProblem,
    Canary,
    Finding,
    judge,
    read_accepted,
)
from emulator.dependencies.lock import DEPLOYED, DEVELOPMENT, locked_packages
from emulator.dependencies.services import (
    NPM_CANARY,
    OSV_URL,
    PYTHON_CANARY,
    ask_npm,
    ask_pip_audit,
    npm_versions,
)
from emulator.tools import ROOT
from tests.support.vulnerability_services import VulnerabilityServices, advisory, npm_advisory, serving

TODAY = date(2026, 11, 30)
ASKED = {"flask": "3.1.3", "six": "1.17.0"}
CANARY = Canary(name="canary", version="1", id="CVE-0")
SUNG = Finding(package="canary", version="1", ids=("GHSA-0", "CVE-0"), summary="sings")
HOLE = Finding(package="flask", version="3.1.3", ids=("CVE-9", "GHSA-9"), summary="leaks", fixed_in=("3.2",))
ENTRY = """
[[accepted]]
package = "flask"
id = "GHSA-9"
reason = "We do not use sessions."
until = {until}
"""


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch):
    with serving(VulnerabilityServices()) as served:
        monkeypatch.setenv(OSV_URL, f"{served.url}/v1/query")
        monkeypatch.setenv("npm_config_registry", served.url)
        yield served


def judged(*findings: Finding, looked_at=frozenset(ASKED), accepted=()) -> Audited:
    return judge("Deployed", ASKED, CANARY, Answer(looked_at=looked_at, findings=findings), accepted, TODAY)


def accepted_until(day: str) -> tuple[Accepted, ...]:
    return read_accepted(ENTRY.format(until=day), TODAY)


def code_of(*findings: Finding, **rest) -> int:
    return exit_code(judged(*findings, **rest), [])


# ── the judgement ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_audit_is_sound_when_all_were_looked_at():
    assert judged(SUNG) == Audited(title="Deployed", count=2)
    assert code_of(SUNG) == SOUND


def test_a_finding_counts_and_says_the_fixed_version():
    result = judged(SUNG, HOLE)

    assert exit_code(result, []) == VULNERABLE
    assert list(result.sentences())[1:] == ["  flask 3.1.3: CVE-9, leaks (fixed in 3.2)"]


@pytest.mark.parametrize(
    "findings",
    [(), (HOLE,), (Finding(package="canary", version="1", ids=("CVE-1",), summary="another"),)],
    ids=["empty", "others", "another finding of the canary"],
)
def test_an_answer_without_the_canary_proves_nothing(findings):
    with pytest.raises(AuditProblem, match="does not know the vulnerability of canary 1"):
        judged(*findings)


def test_an_audit_of_no_package_proves_nothing():
    with pytest.raises(AuditProblem, match="no package was named"):
        judge("Deployed", {}, CANARY, Answer(looked_at=frozenset(), findings=(SUNG,)), (), TODAY)


def test_a_skipped_package_is_named_and_no_green():
    result = judged(SUNG, looked_at=frozenset({"six"}))

    assert result.problem == "1 of 2 packages were not audited: the service did not look at flask."
    assert exit_code(result, []) == NOT_AUDITED


def test_a_finding_outweighs_a_part_that_was_not_audited():
    assert exit_code(judged(SUNG, HOLE), [Audited(title="npm", problem="Nothing was audited.")]) == VULNERABLE


def test_a_finding_of_development_is_shown_and_does_not_fail():
    tools = judged(SUNG, HOLE)

    assert exit_code(judged(SUNG), [tools]) == SOUND
    assert "CVE-9" in "\n".join(tools.sentences())


def test_a_finding_about_a_package_that_was_not_asked_for_is_left_out():
    stranger = Finding(package="stranger", version="1", ids=("CVE-5",), summary="far away")

    assert judged(SUNG, stranger).findings == ()


def test_an_accepted_finding_does_not_count_on_its_last_day():
    result = judged(SUNG, HOLE, accepted=accepted_until("2026-11-30"))

    assert exit_code(result, []) == SOUND
    assert list(result.sentences())[-1] == "  accepted until 2026-11-30: flask, GHSA-9. We do not use sessions."


def test_an_accepted_finding_counts_again_when_its_day_is_over():
    result = judged(SUNG, HOLE, accepted=accepted_until("2026-11-29"))

    assert exit_code(result, []) == VULNERABLE
    assert list(result.sentences())[-1] == "  no longer accepted since 2026-11-29: flask, GHSA-9"


@pytest.mark.parametrize(
    "text",
    [
        ENTRY.format(until="2027-06-01"),
        ENTRY.format(until='"2026-12-01"'),
        ENTRY.format(until="2026-12-01T00:00:00Z"),
        ENTRY.format(until="2026-12-01").replace("We do not use sessions.", ""),
        ENTRY.format(until="2026-12-01").replace('id = "GHSA-9"', ""),
        ENTRY.format(until="2026-12-01") + 'unitl = "x"',
        ENTRY.format(until="2026-12-01").replace("[[accepted]]", "[accepted]"),
        "accepted = 3",
        "[[accepted]",
    ],
)
def test_a_faulty_list_of_accepted_findings_stops_the_audit(text: str):
    with pytest.raises(AuditProblem, match=r"^Nothing was audited"):
        read_accepted(text, TODAY)


def test_the_committed_list_of_accepted_findings_can_be_read():
    assert isinstance(read_accepted(audits.ACCEPTED.read_text(), TODAY), tuple)


def test_no_canary_stands_in_a_lock():
    python = {package.name for stem in (DEPLOYED, DEVELOPMENT) for package in locked_packages(stem)}

    assert PYTHON_CANARY.name not in python
    assert NPM_CANARY.name not in npm_versions(ROOT / "emulator")


# ── the tools against a stand-in of the services ────────────────────────────────────────────────────────────────────


def test_a_whole_audit_asks_about_every_locked_package(services: VulnerabilityServices, capsys):
    assert audits.main() == SOUND

    python = {package.name for package in locked_packages(DEVELOPMENT)}
    npm = set(npm_versions(ROOT / "emulator"))
    assert set(services.asked) == python | npm | {PYTHON_CANARY.name, NPM_CANARY.name}
    assert f"Deployed: {len(locked_packages(DEPLOYED))} packages audited, 0 with findings" in capsys.readouterr().out


def test_a_vulnerability_of_a_deployed_package_fails_the_audit(services: VulnerabilityServices):
    services.python["flask"] = [advisory("flask", "GHSA-1", "CVE-2026-1")]
    answer = ask_pip_audit({"flask": "3.1.3"})

    assert set(answer.looked_at) == {"flask", PYTHON_CANARY.name}
    assert [each for each in answer.findings if each.package == "flask"] == [
        Finding(
            package="flask",
            version="3.1.3",
            ids=("CVE-2026-1", "GHSA-1"),
            summary="flask does as it is told",
            fixed_in=("99.0",),
        )
    ]
    assert PYTHON_CANARY.is_found_in(answer.findings)


def test_a_vulnerability_of_an_npm_package_is_found(services: VulnerabilityServices):
    services.npm["express"] = [npm_advisory("GHSA-3")]
    answer = ask_npm(ROOT / "emulator")

    assert [(each.ids, each.summary) for each in answer.findings if each.package == "express"] == [
        (("GHSA-3",), "critical: runs code")
    ]
    assert NPM_CANARY.is_found_in(answer.findings)
    assert set(answer.looked_at) == set(npm_versions(ROOT / "emulator"))


def test_empty_answers_are_no_green(services: VulnerabilityServices):
    services.refusal = (200, {})

    with pytest.raises(AuditProblem, match="does not know the vulnerability"):
        judge("Deployed", ASKED, PYTHON_CANARY, ask_pip_audit(ASKED), (), TODAY)


def test_answers_about_other_packages_are_no_green(services: VulnerabilityServices):
    services.python = {"*": [advisory("stranger", "CVE-2026-5")]}

    with pytest.raises(AuditProblem, match="does not know the vulnerability"):
        judge("Deployed", ASKED, PYTHON_CANARY, ask_pip_audit(ASKED), (), TODAY)


@pytest.mark.parametrize(
    "refusal",
    [(403, {"message": "not here"}), (200, b"<html>Log in to the network</html>"), (200, {"vulns": "many"})],
    ids=["forbidden", "a page", "another shape"],
)
def test_a_refusal_of_osv_is_told_and_no_green(services: VulnerabilityServices, refusal):
    services.refusal = refusal

    with pytest.raises(AuditProblem, match=r"^Nothing was audited: pip-audit had no answer"):
        ask_pip_audit(ASKED)


def test_a_refusal_of_npms_registry_is_told_and_no_green(services: VulnerabilityServices):
    services.refusal = (503, {"message": "busy"})

    with pytest.raises(AuditProblem, match=r"^Nothing was audited: npm was refused. 503"):
        ask_npm(ROOT / "emulator")


def test_services_that_cannot_be_reached_are_told_and_no_green(monkeypatch: pytest.MonkeyPatch, capsys):
    with serving(VulnerabilityServices()) as gone:
        pass
    monkeypatch.setenv(OSV_URL, f"{gone.url}/v1/query")
    monkeypatch.setenv("npm_config_registry", gone.url)

    assert audits.main() == NOT_AUDITED
    out = capsys.readouterr().out
    assert "Deployed: Nothing was audited: pip-audit had no answer. The service could not be reached." in out
    assert "The run proves nothing" in out


def test_a_package_lock_without_packages_is_no_green(services: VulnerabilityServices, tmp_path: Path):
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "package-lock.json").write_text(json.dumps({"lockfileVersion": 3, "packages": {"": {}}}))

    with pytest.raises(AuditProblem, match="no package was named"):
        judge("npm", npm_versions(tmp_path), NPM_CANARY, ask_npm(tmp_path), (), TODAY)
