"""One `make deploy` with the Firebase CLI itself, against the stand-in for Google, recorded for all tests."""

import contextlib
import io
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emulator import tools
from emulator.cloud.deploy import deploy
from emulator.cloud.firebase import FirebaseCli
from emulator.cloud.project import Project as Ours
from emulator.stand_ins.google import GoogleStandIn
from emulator.stand_ins.google.state import Project
from emulator.stand_ins.paypal import PayPalStandIn
from emulator.stand_ins.stripe import StripeStandIn
from tests.support.deployments import MODEL_KEY, SHOP, Listener, Memory, new_project

PROJECT = SHOP
LOCATION = "eur3"
CREATE = "cloudfunctions.v2 projects.locations.functions.create"
SOURCE = ("main.py", "requirements.txt", "firebase.json")
PACKAGES = ("functions", "shared", "emulator")
LEFT_BEHIND = shutil.ignore_patterns("__pycache__", "node_modules", ".run", ".env", "vendor", "*.pyc")
STRIPE_KEY = "sk_test_standin4f9a1c77"
PAYPAL_SECRET = "EO422dn3gQLgDbuwqTjzrFgFtaRLRR5BdHEESmha49TM"
SETTINGS = {
    "FIRESTORE_LOCATION": LOCATION,
    "PAYMENT_PROVIDERS": "stripe,paypal",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_rehearsal",
    "WELCOME_BONUS_REQUIRES": "verified",
    "CORS_ORIGINS": "https://app.example.com",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Deployment that was made. `functions` are the bodies of the CLI's requests, by function. `lines` were said."""

    google: GoogleStandIn
    project: Project
    ours: Ours
    lines: list[str]
    functions: Mapping[str, Any]

    def archive(self, function: str) -> zipfile.ZipFile:
        """Return the uploaded archive of a function."""
        place = self.functions[function]["buildConfig"]["source"]["storageSource"]
        return zipfile.ZipFile(io.BytesIO(self.google.state.objects[place["bucket"], place["object"]]))

    def account(self, function: str) -> str:
        return str(self.functions[function]["serviceConfig"]["serviceAccountEmail"])

    def project_roles(self, function: str) -> set[str]:
        """Return the roles that a function's account has on the whole project."""
        return self._roles_in(self.project.policy, function)

    def roles(self, function: str) -> set[str]:
        """Return the roles that a function's account has on the project and on the bucket of images."""
        bucket = self.google.state.bucket_policies[f"{PROJECT}-images"]
        return self.project_roles(function) | self._roles_in(bucket, function)

    def readable_secrets(self, function: str) -> set[str]:
        """Return the secrets that a function's account may read."""
        return {
            name.rpartition("/")[2]
            for name in self.project.table("Secret")
            if "roles/secretmanager.secretAccessor" in self._roles_in(self.project.policy_of(name), function)
        }

    def _roles_in(self, policy: Any, function: str) -> set[str]:
        member = f"serviceAccount:{self.account(function)}"
        return {role for role, members in policy.bindings.items() if member in members}

    def secret(self, name: str) -> str:
        """Return the newest value of a secret."""
        value = self.ours.secrets.read(name)
        assert value is not None, f"{name} was not stored"
        return value


@dataclass(frozen=True, slots=True)
class TruePath:
    """The CLI itself. After the functions are deployed, the product behind them knows Stripe's webhook secret."""

    cli: FirebaseCli
    ours: Ours
    backend: Memory

    def deploy(self, only: str, root: Path) -> None:
        self.cli.deploy(only, root)
        if only == "functions":
            self.backend.stripe_secret = self.ours.secrets.read("STRIPE_WEBHOOK_SECRET") or ""


def copy_source(root: Path) -> None:
    """Copy the parts of the repository that a deployment needs, as a clean clone has them."""
    for name in SOURCE:
        shutil.copyfile(tools.ROOT / name, root / name)
    for name in PACKAGES:
        shutil.copytree(tools.ROOT / name, root / name, ignore=LEFT_BEHIND)


@contextlib.contextmanager
def deployed(root: Path) -> Iterator[Deployment]:
    """Deploy this source tree to a new project, by the steps of `make deploy` and the CLI itself."""
    copy_source(root)
    with (
        GoogleStandIn() as google,
        StripeStandIn(secret_key=STRIPE_KEY) as stripe,
        PayPalStandIn(client_secret=PAYPAL_SECRET) as paypal,
    ):
        made = new_project(google, root, PAYPAL_CLIENT_ID=paypal.client_id, **SETTINGS)
        project = google.state.projects[PROJECT]
        assert isinstance(project.backend, Memory)
        keys = {"STRIPE_SECRET_KEY": STRIPE_KEY, "PAYPAL_CLIENT_SECRET": PAYPAL_SECRET}
        given = {"AI_PLATFORM_API_KEY": MODEL_KEY, **keys}
        addresses = {"STRIPE_API_BASE": stripe.url, "PAYPAL_API_BASE": paypal.url}
        terminal = Listener(secrets=given)
        cli = TruePath(FirebaseCli(PROJECT, {**os.environ, **google.environment}), made, project.backend)
        ours = replace(made, terminal=terminal, environment=addresses, firebase=cli)
        deploy(ours)
        functions = {each.query["functionId"]: each.body for each in google.asked(CREATE)}
        yield Deployment(google=google, project=project, ours=ours, lines=terminal.lines, functions=functions)
