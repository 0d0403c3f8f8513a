"""Functions: deployed by the Firebase CLI if the release, a setting or a secret is not the deployed one.

Each function's account is given access to the function's secrets: known accounts before the CLI deploys, new ones
after. The CLI's own grants lose each other if several functions share a secret.
"""

import re
from collections.abc import Mapping, Sequence

from emulator.cloud.deployed import RELEASE, DeployedFunction, deployed_functions
from emulator.cloud.manifest import Manifest
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Change, Project
from emulator.cloud.release import release_of
from emulator.cloud.steps import access, anchors
from shared.bootstrap.secrets import project_secrets, secrets_of

RESERVED = re.compile(
    r"(?:FIREBASE|X_GOOGLE|EXT|KIT|FUNCTION|K)_.*|ENTRY_POINT|EVENTARC_CLOUD_EVENT_SOURCE|GCP_PROJECT|GCLOUD_PROJECT"
    r"|GOOGLE_CLOUD_PROJECT|CLOUD_RUNTIME_CONFIG|LOG_EXECUTION_ID|PORT"
)
"""Variables that the CLI and Google add to functions, and that no settings file may name."""
NAMES_SHOWN = 4


def look(project: Project) -> Sequence[Change]:
    """Return the changes of accesses to secrets, and the deploy of the functions if anything differs."""
    return [*access.look(project), *anchors.look_at_access(project), *_deploying(project)]


def _deploying(project: Project) -> Sequence[Change]:
    manifest, present = Manifest(project.root), deployed_functions(project.google)
    release = release_of(project.root)
    why = [
        *_missing(manifest, present, project.region),
        *_outdated(manifest, present, release),
        *_changed_settings(project, manifest, present),
        *_changed_secrets(project, manifest, present),
    ]
    if not why:
        return []

    def deploy() -> None:
        project.settings.set(RELEASE, release)
        project.firebase.deploy("functions", project.root)
        _check(manifest, deployed_functions(project.google))

    return [Change(says=f"deploy the functions of {release}: {'; '.join(why)}", do=deploy)]


def _missing(manifest: Manifest, present: Mapping[str, DeployedFunction], region: str) -> list[str]:
    missing = [name for name in manifest.endpoints if name not in present or present[name].region != region]
    broken = [name for name in manifest.endpoints if name in present and present[name].state not in {"ACTIVE", ""}]
    told = [f"{_some(missing)} not there"] if missing else []
    return [*told, f"{_some(broken)} not active"] if broken else told


def _outdated(manifest: Manifest, present: Mapping[str, DeployedFunction], release: str) -> list[str]:
    running = sorted({present[name].release or "?" for name in manifest.endpoints if name in present} - {release})
    return [f"{_some(running)} runs"] if running else []


def _changed_settings(project: Project, manifest: Manifest, present: Mapping[str, DeployedFunction]) -> list[str]:
    wanted = {name: value for name, value in project.settings.all().items() if name != RELEASE}
    changed: set[str] = set()
    for name in manifest.endpoints.keys() & present.keys():
        environment = present[name].environment
        known = {*wanted, *manifest.params, RELEASE}
        changed |= {each for each, value in wanted.items() if environment.get(each) != value}
        changed |= {each for each in environment.keys() - known if not RESERVED.fullmatch(each)}
    return [f"{_some(sorted(changed))} changed"] if changed else []


def _changed_secrets(project: Project, manifest: Manifest, present: Mapping[str, DeployedFunction]) -> list[str]:
    settings = project.settings.all()
    newest = {name: project.secrets.newest_version(name) for name in project_secrets(settings)}
    wanted = {
        function: {name: newest[name] for name in secrets_of(function, settings)}
        for function in manifest.endpoints.keys() & present.keys()
    }
    changed = {
        name
        for function, secrets in wanted.items()
        for name in secrets.keys() | present[function].secrets.keys()
        if secrets.get(name) != present[function].secrets.get(name)
    }
    return [f"another version of {_some(sorted(changed))}"] if changed else []


def _check(manifest: Manifest, present: Mapping[str, DeployedFunction]) -> None:
    broken = [name for name in manifest.endpoints if name in present and present[name].state not in {"ACTIVE", ""}]
    if broken:
        raise CloudProblem(
            f"{_some(broken)} is deployed but not active: look at its log in the Cloud Console; "
            "a function that cannot start says there which setting or secret is wrong."
        )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    return f"{shown} and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else shown
