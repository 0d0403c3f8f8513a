"""Served APIs by host, one module each."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from emulator.stand_ins.google.state import State
from emulator.stand_ins.wire import Answer, Request

Plain = Callable[[State, Request, str], Answer | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """Host with the names of discovery documents. `plain` answers requests that no document describes."""

    documents: tuple[str, ...]
    modules: tuple[str, ...]
    plain: Plain | None = None


def _plain(module: str) -> Plain:
    def answer(state: State, request: Request, path: str) -> Answer | None:
        found: Answer | None = importlib.import_module(f"{__name__}.{module}").plain(state, request, path)
        return found

    return answer


BY_HOST: Mapping[str, Api] = {
    "serviceusage.googleapis.com": Api(documents=("serviceusage.v1", "serviceusage.v1beta1"), modules=("services",)),
    "cloudresourcemanager.googleapis.com": Api(documents=("cloudresourcemanager.v1",), modules=("projects",)),
    "iam.googleapis.com": Api(documents=("iam.v1",), modules=("accounts",)),
    "secretmanager.googleapis.com": Api(documents=("secretmanager.v1",), modules=("secrets",)),
    "pubsub.googleapis.com": Api(documents=("pubsub.v1",), modules=("pubsub",)),
    "storage.googleapis.com": Api(documents=("storage.v1",), modules=("storage",), plain=_plain("uploads")),
    "firestore.googleapis.com": Api(
        documents=("firestore.v1",),
        modules=("firestore", "firestore_indexes", "documents"),
        plain=_plain("documents"),
    ),
    "cloudfunctions.googleapis.com": Api(documents=("cloudfunctions.v2", "cloudfunctions.v1"), modules=("functions",)),
    "run.googleapis.com": Api(documents=("run.v2", "run.v1"), modules=("run",)),
    "cloudscheduler.googleapis.com": Api(documents=("cloudscheduler.v1",), modules=("scheduler",)),
    "eventarc.googleapis.com": Api(documents=("eventarc.v1",), modules=("eventarc",)),
    "firebaserules.googleapis.com": Api(documents=("firebaserules.v1",), modules=("rules",)),
    "firebase.googleapis.com": Api(documents=("firebase.v1beta1",), modules=("firebase",)),
    "identitytoolkit.googleapis.com": Api(
        documents=("identitytoolkit.v1", "identitytoolkit.v2"), modules=("identity", "users"), plain=_plain("users")
    ),
    "monitoring.googleapis.com": Api(documents=("monitoring.v3",), modules=("monitoring",)),
    "logging.googleapis.com": Api(documents=("logging.v2",), modules=("logs",)),
    "cloudbilling.googleapis.com": Api(documents=("cloudbilling.v1",), modules=("billing",)),
    "billingbudgets.googleapis.com": Api(documents=("billingbudgets.v1",), modules=()),
    "artifactregistry.googleapis.com": Api(documents=("artifactregistry.v1",), modules=("artifacts",)),
    "cloudbuild.googleapis.com": Api(documents=("cloudbuild.v1",), modules=()),
    "cloudkms.googleapis.com": Api(documents=("cloudkms.v1",), modules=("kms",)),
    "compute.googleapis.com": Api(documents=("compute.v1",), modules=("small",)),
    "runtimeconfig.googleapis.com": Api(documents=("runtimeconfig.v1beta1",), modules=()),
    "firebaseappcheck.googleapis.com": Api(documents=("firebaseappcheck.v1",), modules=("app_check",)),
    "www.googleapis.com": Api(documents=("oauth2.v2",), modules=(), plain=_plain("tokens")),
}

for _api in BY_HOST.values():
    for _module in _api.modules:
        importlib.import_module(f"{__name__}.{_module}")
