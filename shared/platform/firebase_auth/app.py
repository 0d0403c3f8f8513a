"""Single firebase_admin app of this process."""

import os
import threading

import firebase_admin
from firebase_admin import credentials
from google.auth.credentials import AnonymousCredentials, Credentials

from shared.users.ports import IDENTITY_TIMEOUT_SECONDS

EMULATOR_VARIABLE = "FIREBASE_AUTH_EMULATOR_HOST"
_LOCK = threading.Lock()


class _Nobody(credentials.Base):  # type: ignore[misc]  # firebase_admin ships no types
    """Anonymous credentials: the emulator needs no credentials, and a laptop has none."""

    def get_credential(self) -> Credentials:
        return AnonymousCredentials()  # type: ignore[no-untyped-call]


def is_emulated() -> bool:
    """Return True if users are the Auth emulator's, as on a laptop."""
    return bool(os.environ.get(EMULATOR_VARIABLE))


def firebase_app(project: str) -> firebase_admin.App:
    """Return the app for `project`: built at its first use, then shared."""
    with _LOCK:
        try:
            return firebase_admin.get_app(project)
        except ValueError:
            credential = _Nobody() if is_emulated() else credentials.ApplicationDefault()
            options = {"projectId": project, "httpTimeout": IDENTITY_TIMEOUT_SECONDS}
            return firebase_admin.initialize_app(credential, options, name=project)
