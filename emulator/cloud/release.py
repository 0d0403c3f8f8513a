"""Releases: git tags `vN`. A deployed tree is named by its tag, or by the tag before with the commit and a digest."""

import hashlib
import re
import subprocess
from pathlib import Path

from emulator.cloud.problems import CloudProblem

TAG = re.compile(r"v([1-9][0-9]*)", re.ASCII)
GIT_SECONDS_MAX = 60
DIGEST_LENGTH = 8


class GitFailed(CloudProblem):
    """Error for a git command that failed, in git's own words."""


def git(root: Path, *arguments: str) -> str:
    """Return the output of a git command in this tree. Raises GitFailed."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, timeout=GIT_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitFailed(
            f"git {arguments[0]} did not run: install git, and run the command in the repository."
        ) from error
    if done.returncode:
        told = done.stderr.strip().splitlines()
        raise GitFailed(f"git {arguments[0]} failed: {told[-1] if told else 'no reason was given'}.")
    return done.stdout.strip()


def release_of(root: Path) -> str:
    """Return the name of this tree: `v3`; `v3-2-gabc1234` two commits later; `…-dirty-1a2b3c4d` with other changes."""
    try:
        named = git(root, "describe", "--tags", "--match", "v[0-9]*", "--always", "--dirty")
    except GitFailed:
        return f"unreleased-{_digest(root, sorted(_files_below(root)))}"
    if not named.endswith("-dirty"):
        return named
    listed = git(root, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    return f"{named}-{_digest(root, sorted(listed))}"


def _files_below(root: Path) -> list[str]:
    folders = ("functions", "shared")
    found = [path for folder in folders for path in (root / folder).rglob("*.py")]
    return [str(path.relative_to(root)) for path in (*found, *root.glob("[!.]*.*")) if path.is_file()]


def _digest(root: Path, files: list[str]) -> str:
    digest = hashlib.sha256()
    for name in files:
        path = root / name
        content = path.read_bytes() if path.is_file() else b""
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:DIGEST_LENGTH]


def tags(root: Path) -> list[int]:
    """Return the numbers of all releases, ascending."""
    return sorted(
        int(found[1]) for name in git(root, "tag", "--list", "v*").splitlines() if (found := TAG.fullmatch(name))
    )


def next_release(root: Path) -> str:
    return f"v{(tags(root) or [0])[-1] + 1}"


def release_before(root: Path, running: str) -> str:
    """Return the newest release before the one that runs, `v3` or `v3-2-gabc1234`. Raises CloudProblem.

    The release before `v3-2-gabc1234` is `v3`: that tree was never tagged itself.
    """
    found = re.match(r"v([1-9][0-9]*)(-?)", running)
    if found is None:
        raise CloudProblem(
            f"The running functions say {running or 'no release'}, which is no release: "
            "choose a tag yourself, `make rollback PROJECT=… RELEASE=vN`."
        )
    last = int(found[1]) if found[2] else int(found[1]) - 1
    earlier = [number for number in tags(root) if number <= last]
    if not earlier:
        raise CloudProblem(f"There is no release before {running}.")
    return f"v{earlier[-1]}"
