"""Directory of one function from which `firebase deploy` uploads: the function's source, manifest and plain settings.

Only the standard library is imported, since a deployment has no other package.
"""

import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from emulator.cloud.env_files import project_files, project_settings
from emulator.cloud.manifest_text import function_manifest, param_defaults
from emulator.cloud.problems import CloudProblem
from emulator.cloud.roles import ROLES
from shared.bootstrap.secrets import NEEDS, every_secret, secrets_of
from shared.kernel.chain_settings import CHAIN_SETTING, holds_key
from shared.kernel.settings import UPSTREAM_KEY, SettingsError, parse_settings
from shared.payments.chains.wallet_keys import require_wallets

ROOT = Path(__file__).resolve().parents[2]
STAGED = ROOT / "emulator" / ".run" / "functions"
FILES = (
    "main.py",
    "requirements.txt",
    "functions/http/payer/icon.svg",
    "functions/http/payer/payer-wallet.js",
    "functions/http/payer/payer.css",
    "functions/http/payer/payer.html",
    "functions/http/payer/payer.js",
    "functions/http/payer/theme.css",
    "functions/http/payer/theme.js",
    "functions/http/verifier/page.css",
    "functions/http/verifier/page.html",
    "functions/http/verifier/page.js",
    "functions/http/verifier/receipt.js",
    "shared/platform/paypal/authorities.pem",
)
"""Files that are no modules of the packages. Of the pages, those of the payer and for receipts are deployed."""
PACKAGES = ("functions", "shared")
PARAMS = (
    ("REGION", r"[a-z]+-[a-z]+[0-9]+", "a region of Google Cloud, such as europe-west1"),
    ("MIN_INSTANCES", r"[0-9]|[1-4][0-9]|50", "a whole number from 0 to 50"),
)
"""Params of the manifest, with the form of the values and the form in words."""
NOT_DEPLOYED = (
    "functions/commands.py",
    "functions/dead_events.py",
    "functions/http/static",
    "functions/operating",
    "shared/bootstrap/memory.py",
    "shared/ledger/verify/__main__.py",
    "shared/ledger/verify/command/",
    "shared/platform/memory",
)
"""Parts of the packages that no deployed function uses: commands, pages, and the adapters in memory."""


def stage(function: str, project: str, *, root: Path = ROOT, staged: Path = STAGED) -> Path:
    """Fill the directory of a function for a project, and return the directory.

    Raises CloudProblem for a wrong setting, and for a secret among the plain settings.
    """
    if function not in NEEDS:
        raise CloudProblem(f"There is no function {function}; the functions are {', '.join(NEEDS)}.")
    settings = checked_settings(project, root)
    target, fresh = staged / function, staged / f"{function}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    for name in source_files(root):
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, fresh / name)
    text = (root / "functions.yaml").read_text()
    (fresh / "functions.yaml").write_text(manifest_of(function, settings, text))
    _copy_settings(project, param_defaults(text), root, fresh)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return target


def source_files(root: Path = ROOT) -> Iterator[str]:
    """Yield the paths of the files that every function's archive holds, beside its manifest."""
    yield from FILES
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            name = file.relative_to(root).as_posix()
            if not name.startswith(NOT_DEPLOYED):
                yield name


def manifest_of(function: str, settings: Mapping[str, str], text: str) -> str:
    """Return the manifest of one function for a project with these plain settings."""
    return function_manifest(
        text,
        function,
        secrets=secrets_of(function, settings),
        roles=ROLES[function],
        is_behind_load_balancer=settings.get("CLIENT_ADDRESS_FROM") == "load_balancer",
    )


def checked_settings(project: str, root: Path = ROOT) -> Mapping[str, str]:
    """Return the plain settings of a project. Raises CloudProblem for a wrong setting, and for a secret among them."""
    if not project:
        raise CloudProblem("No project is named: set GCLOUD_PROJECT, or deploy with `firebase deploy --project ID`.")
    settings = project_settings(root, project)
    for name, value in settings.items():
        _require_plain(name, value, project)
    try:
        require_wallets(parse_settings({**settings, "GCLOUD_PROJECT": project}, secrets=()))
        secrets_of("api", settings)
    except SettingsError as error:
        raise CloudProblem(f"The settings in .env and .env.{project} are wrong: {error}.") from error
    for name, pattern, wanted in PARAMS:
        if settings.get(name) and not re.fullmatch(pattern, settings[name], re.ASCII):
            raise CloudProblem(f"{name} in .env.{project} is {settings[name]}: it must be {wanted}.")
    return settings


def is_secret(name: str) -> bool:
    """Return True for the name of a secret of any project."""
    return name in every_secret() or bool(UPSTREAM_KEY.fullmatch(name))


def leads_to_emulator(name: str) -> bool:
    """Return True for the name of a variable that leads Google's libraries to an emulator."""
    return name == "FUNCTIONS_EMULATOR" or name.endswith("_EMULATOR_HOST")


def _require_plain(name: str, value: str, project: str) -> None:
    """Raise CloudProblem for a secret, for a chain's source with a key, and for a setting of a laptop."""
    if is_secret(name) or (CHAIN_SETTING.fullmatch(name) and holds_key(value)):
        raise CloudProblem(
            f"{name} is a secret, and stands in plain text in .env or .env.{project}. Remove the line, and put the "
            f"value into Secret Manager: firebase functions:secrets:set {name} --project {project}"
        )
    if leads_to_emulator(name):
        raise CloudProblem(
            f"{name} leads functions to an emulator, and stands in .env or .env.{project}: remove the line."
        )


def _copy_settings(project: str, defaults: Mapping[str, str], root: Path, fresh: Path) -> None:
    """Copy the plain settings to where the CLI reads them, with a value for each param."""
    settings = project_settings(root, project)
    texts = {".env": "", f".env.{project}": ""}
    for file in project_files(root, project):
        texts[".env" if file.name == ".env" else f".env.{project}"] = file.read_text().rstrip("\n") + "\n"
    texts[f".env.{project}"] += "".join(
        f"{name}={value}\n" for name, value in defaults.items() if not settings.get(name)
    )
    for name, text in texts.items():
        (fresh / name).write_text(text)


def run(functions: Sequence[str], project: str) -> int:
    """Stage the functions for a project, and return the exit status. A problem is printed as a sentence."""
    try:
        for function in functions:
            stage(function, project)
            secrets = ", ".join(secrets_of(function, checked_settings(project))) or "no secret"
            print(f"{function} of {project}: {secrets}")
    except CloudProblem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0
