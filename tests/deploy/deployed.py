"""One deployment by the Firebase CLI itself against the stand-in for Google, recorded for all tests."""

import io
import os
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator import tools
from emulator.stand_ins.google import GoogleStandIn
from emulator.stand_ins.google.apis.secrets import put_version
from emulator.stand_ins.google.state import Project, State
from shared.bootstrap.secrets import project_secrets

PROJECT = "acme-rehearsal"
LOCATION = "eur3"
CREATE = "cloudfunctions.v2 projects.locations.functions.create"
DEPLOY_SECONDS_MAX = 240
SOURCE = ("main.py", "requirements.txt", "functions.yaml", "firebase.json", "firestore.rules", "firestore.indexes.json")
PACKAGES = ("functions", "shared", "emulator")
LEFT_BEHIND = shutil.ignore_patterns("__pycache__", "node_modules", ".run", ".env", "vendor", "*.pyc")
SETTINGS = {
    "PUBLIC_URL": f"https://us-central1-{PROJECT}.cloudfunctions.net/api",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_rehearsal",
    "PAYPAL_CLIENT_ID": "rehearsal",
    "PAYPAL_WEBHOOK_ID": "5GP028458E2496506",
    "WELCOME_BONUS_REQUIRES": "verified",
    "CORS_ORIGINS": "https://app.example.com",
}
SECRETS = {
    "LEDGER_SIGNING_KEY": f"rehearsal-1:{'A' * 43}=",
    "MARKS_SECRET": "sixteen characters and more",
    "AI_PLATFORM_API_KEY": "sk-rehearsal",
    "STRIPE_SECRET_KEY": "sk_test_rehearsal",
    "STRIPE_WEBHOOK_SECRET": "whsec_rehearsal",
    "PAYPAL_CLIENT_SECRET": "rehearsal secret",
}
APIS_BEFORE = ("iam.googleapis.com", "cloudresourcemanager.googleapis.com")
"""APIs that the CLI asks for before it turns on the others; `make deploy` turns them on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Deployment that the CLI made. `functions` are the bodies of its requests, by function."""

    google: GoogleStandIn
    project: Project
    output: str
    functions: Mapping[str, Any]

    def archive(self, function: str) -> zipfile.ZipFile:
        """Return the uploaded archive of a function."""
        place = self.functions[function]["buildConfig"]["source"]["storageSource"]
        return zipfile.ZipFile(io.BytesIO(self.google.state.objects[place["bucket"], place["object"]]))

    def account(self, function: str) -> str:
        return str(self.functions[function]["serviceConfig"]["serviceAccountEmail"])

    def roles(self, function: str) -> set[str]:
        """Return the roles that a function's account has on the project."""
        member = f"serviceAccount:{self.account(function)}"
        return {role for role, members in self.project.policy.bindings.items() if member in members}


def prepare(state: State, apis: tuple[str, ...]) -> Project:
    """Make a project as it is when the functions are deployed: a database, every secret, and these APIs."""
    project = state.add_project(PROJECT)
    project.enable(*APIS_BEFORE, *apis)
    database = {"locationId": LOCATION, "type": "FIRESTORE_NATIVE", "databaseEdition": "STANDARD"}
    project.table("Database").add(f"projects/{PROJECT}/databases/(default)", database)
    for name in project_secrets(SETTINGS):
        secret = f"projects/{PROJECT}/secrets/{name}"
        project.table("Secret").add(secret, {"replication": {"automatic": {}}})
        put_version(project, secret, SECRETS[name].encode())
    return project


def copy_source(root: Path) -> None:
    """Copy the parts of the repository that a deployment needs, as a clean clone has them."""
    for name in SOURCE:
        shutil.copyfile(tools.ROOT / name, root / name)
    for name in PACKAGES:
        shutil.copytree(tools.ROOT / name, root / name, ignore=LEFT_BEHIND)
    lines = "".join(f"{name}={value}\n" for name, value in SETTINGS.items())
    (root / f".env.{PROJECT}").write_text(lines)


def deploy(google: GoogleStandIn, root: Path, project: Project) -> Deployment:
    """Run the CLI's own deploy of everything in this folder. Raises AssertionError with its output if it fails."""
    command = [tools.node(), str(tools.FIREBASE_CLI), "deploy", "--force", "--non-interactive", "--project", project.id]
    done = subprocess.run(
        command,
        cwd=root,
        env={**os.environ, **google.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEPLOY_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    functions = {each.query["functionId"]: each.body for each in google.asked(CREATE)}
    return Deployment(google=google, project=project, output=done.stdout, functions=functions)
