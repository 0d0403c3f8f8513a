"""Sign-in: Firebase Auth is started, users have a way to sign in, and pages know the web app's key."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from emulator.cloud.app_check import WEB_KEY
from emulator.cloud.problems import GoogleRefused
from emulator.cloud.project import Change, Project

AUTH = "https://identitytoolkit.googleapis.com/v2"
FIREBASE = "https://firebase.googleapis.com/v1beta1"
NOT_STARTED = "CONFIGURATION_NOT_FOUND"
LAPTOP = "localhost"
EMAIL = "signIn.email.enabled,signIn.email.passwordRequired"
WITH_EMAIL: Mapping[str, Any] = {"signIn": {"email": {"enabled": True, "passwordRequired": True}}}


def look(project: Project) -> Sequence[Change]:
    changes = []
    config = _config(project)
    if config is None:
        says = "start Firebase Auth, with e-mail and password as the way to sign in"
        changes.append(Change(says=says, do=partial(_start, project)))
    elif not _has_provider(project, config):
        says = "let users sign in with e-mail and password, since there is no way to sign in"
        changes.append(Change(says=says, do=partial(_turn_email_on, project)))
    if not project.settings.get(WEB_KEY):
        says = f"write {WEB_KEY}, the public key of the Firebase web app, into {project.settings.path.name}"
        changes.append(Change(says=says, do=partial(_write_web_key, project)))
    return changes


def _config(project: Project) -> Mapping[str, Any] | None:
    try:
        return project.google.find(f"{AUTH}/projects/{project.id}/config")
    except GoogleRefused as error:
        if NOT_STARTED in error.message or error.reason == NOT_STARTED:
            return None
        raise


def _has_provider(project: Project, config: Mapping[str, Any]) -> bool:
    own = config.get("signIn") or {}
    if any((own.get(name) or {}).get("enabled") for name in ("email", "phoneNumber", "anonymous")):
        return True
    url = f"{AUTH}/projects/{project.id}/defaultSupportedIdpConfigs"
    return any(each.get("enabled") for each in project.google.items(url, "defaultSupportedIdpConfigs"))


def _start(project: Project) -> None:
    """Start Firebase Auth with safe settings in one call. Those of a project where Auth runs are the operator's own."""
    project.google.create(f"{AUTH}/projects/{project.id}/identityPlatform:initializeAuth", {})
    domains = [each for each in (_config(project) or {}).get("authorizedDomains") or () if each != LAPTOP]
    safe = {"authorizedDomains": domains, "emailPrivacyConfig": {"enableImprovedEmailPrivacy": True}}
    body, mask = {**WITH_EMAIL, **safe}, f"{EMAIL},authorizedDomains,emailPrivacyConfig.enableImprovedEmailPrivacy"
    project.google.patch(f"{AUTH}/projects/{project.id}/config", body, updateMask=mask)


def _turn_email_on(project: Project) -> None:
    project.google.patch(f"{AUTH}/projects/{project.id}/config", WITH_EMAIL, updateMask=EMAIL)


def _write_web_key(project: Project) -> None:
    apps = f"{FIREBASE}/projects/{project.id}/webApps"
    listed = [each for each in project.google.items(apps, "apps") if each.get("state", "ACTIVE") == "ACTIVE"]
    app = listed[0] if listed else project.google.wait(project.google.post(apps, {"displayName": project.id}), apps)
    config = project.google.get(f"{apps}/{app['appId']}/config")
    project.settings.set(WEB_KEY, str(config["apiKey"]))
