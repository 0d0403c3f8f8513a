"""`make release`: tag a clean and green tree as the next release, `vN`, with its bill of materials in a file."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from emulator.cloud.problems import CloudProblem
from emulator.cloud.release import git, next_release
from emulator.dependencies.bill import committed_at, write_bill
from emulator.problems import LaptopProblem
from emulator.tools import ROOT

GREEN = ("make", "check", "test")
BILLS = ROOT / "emulator" / ".run" / "releases"


def release(root: Path, is_green: Callable[[], bool]) -> str:
    """Tag this tree with the next release, and return the tag. Raises CloudProblem for an unclean or failing tree."""
    if changed := git(root, "status", "--porcelain").splitlines():
        raise CloudProblem(
            f"{len(changed)} files are not committed, {changed[0].split()[-1]} first: commit them, then try again."
        )
    here = git(root, "tag", "--points-at", "HEAD", "--list", "v[0-9]*").split()
    if here:
        raise CloudProblem(f"This commit is released already, as {here[0]}.")
    if not is_green():
        raise CloudProblem("`make check test` fails: correct that first, then try again.")
    tag = next_release(root)
    git(root, "tag", "--annotate", tag, "--message", f"Release {tag}")
    return tag


def bill_file(tag: str) -> Path:
    """Return the file for the bill of materials of a release."""
    return BILLS / f"{tag}.cdx.json"


def _is_green() -> bool:
    return subprocess.run(GREEN, cwd=ROOT, check=False).returncode == 0


def main() -> int:
    try:
        tag = release(ROOT, _is_green)
    except CloudProblem as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{tag} is tagged. Publish it with `git push origin {tag}`, deploy it with `make deploy PROJECT=…`.")
    try:
        write_bill(bill_file(tag), tag, committed_at())
    except LaptopProblem as error:
        print(f"{error} Then write the bill of materials: `make sbom RELEASE={tag}`.", file=sys.stderr)
        return 1
    print(f"Its bill of materials is {bill_file(tag)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
