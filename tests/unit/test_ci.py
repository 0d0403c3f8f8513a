"""A machine of CI installs the packages of tests/debian.txt, and a skipped test of the browser fails there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 60
NEEDED = ("bash", "dirname", "grep", "env")
PACKAGES = (ROOT / "tests" / "debian.txt").read_text().split()
A_TEST_OF_THE_BROWSER = """
def test_page(browser):
    pass
"""
A_TEST_THAT_IS_SKIPPED = """
import pytest

def test_other():
    pytest.skip("for a reason")
"""


def tried(tmp_path: Path, test: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one test file in a pytest of its own, where no browser is found."""
    file = tmp_path / "test_it.py"
    file.write_text(test)
    options = ["-q", "-rs", "-p", "tests.support.browsers", "-p", "no:cacheprovider", "-c", os.devnull]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(file)],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


def test_skipped_browser_test_fails_with_its_reason_in_ci(tmp_path: Path):
    run = tried(tmp_path, A_TEST_OF_THE_BROWSER, CI="true")

    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout
    assert "no browser here: install one of chromium" in run.stdout


def test_browser_test_is_skipped_outside_ci(tmp_path: Path):
    run = tried(tmp_path, A_TEST_OF_THE_BROWSER)

    assert run.returncode == pytest.ExitCode.OK
    assert "1 skipped" in run.stdout


def test_other_test_may_be_skipped_in_ci(tmp_path: Path):
    run = tried(tmp_path, A_TEST_THAT_IS_SKIPPED, CI="true")

    assert run.returncode == pytest.ExitCode.OK
    assert "1 skipped" in run.stdout


def program(folder: Path, name: str, exit_code: int = 0) -> None:
    """Put a program there that writes its name and arguments to `calls` and ends with this code."""
    file = folder / name
    calls = folder / "calls"
    file.write_text(f'#!{shutil.which("bash")}\necho "{name} $*" >> {calls}\nexit {exit_code}\n')
    file.chmod(0o755)


def machine(folder: Path, **programs: int) -> dict[str, str]:
    """Make the environment of a machine that has these programs, each with its exit code, and no others."""
    for name in NEEDED:
        (folder / name).symlink_to(shutil.which(name) or name)
    for name, exit_code in {"make": 0, **programs}.items():
        program(folder, name.replace("_", "-"), exit_code)
    (folder / "id").write_text(f"#!{shutil.which('bash')}\necho 0\n")
    (folder / "id").chmod(0o755)
    return {"PATH": str(folder)}


def calls_of_ci(environment: dict[str, str]) -> list[str]:
    subprocess.run([ROOT / ".ci" / "run"], env=environment, check=True, capture_output=True, timeout=SECONDS_MAX)
    return (Path(environment["PATH"]) / "calls").read_text().splitlines()


def test_ci_installs_the_listed_debian_packages_before_the_tests(tmp_path: Path):
    calls = calls_of_ci(machine(tmp_path, apt_get=0, dpkg_query=1))

    assert calls == [
        f"dpkg-query --show {' '.join(PACKAGES)}",
        "apt-get update --quiet",
        f"apt-get install --yes --quiet --no-install-recommends {' '.join(PACKAGES)}",
        "make check test",
    ]


def test_ci_installs_nothing_when_the_packages_are_there(tmp_path: Path):
    assert calls_of_ci(machine(tmp_path, apt_get=0, dpkg_query=0))[1:] == ["make check test"]


def test_ci_runs_the_tests_where_apt_is_absent(tmp_path: Path):
    assert calls_of_ci(machine(tmp_path)) == ["make check test"]


def test_ci_runs_the_tests_when_apt_fails(tmp_path: Path):
    assert calls_of_ci(machine(tmp_path, apt_get=1, dpkg_query=1))[-1] == "make check test"
