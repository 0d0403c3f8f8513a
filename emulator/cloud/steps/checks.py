"""Checks before any change: the project exists, is billed and is in Firebase, and the settings can be read."""

from collections.abc import Sequence

from emulator.cloud.doctor import before_deploy
from emulator.cloud.problems import CloudProblem, GoogleRefused
from emulator.cloud.project import Change, Project
from emulator.cloud.staging import checked_settings

PROJECTS = "https://cloudresourcemanager.googleapis.com/v1/projects"
BILLING = "https://cloudbilling.googleapis.com/v1/projects"
FIREBASE = "https://firebase.googleapis.com/v1beta1/projects"


def look(project: Project) -> Sequence[Change]:
    """Return no changes. Raises CloudProblem for what only a person can correct."""
    _check_settings(project)
    _check_project(project)
    if not project.google.get(f"{BILLING}/{project.id}/billingInfo").get("billingEnabled"):
        raise CloudProblem(
            f"{project.id} has no billing account: choose the Blaze plan in the Firebase console "
            f"(https://console.firebase.google.com/project/{project.id}/usage/details)."
        )
    if project.google.find(f"{FIREBASE}/{project.id}") is None:
        raise CloudProblem(
            f"{project.id} is not in Firebase yet: choose “Add project” in the Firebase console, and name {project.id}."
        )
    return []


def _check_settings(project: Project) -> None:
    """Raise CloudProblem with all mistakes that the doctor sees before a deployment, and what to do about each."""
    wrong = [each for each in before_deploy(project.id, root=project.root) if each.severity == "wrong"]
    if wrong:
        raise CloudProblem("\n".join(f"{each.sentence} {each.remedy}" for each in wrong))
    checked_settings(project.id, project.root)


def _check_project(project: Project) -> None:
    try:
        state = project.google.get(f"{PROJECTS}/{project.id}").get("lifecycleState")
    except GoogleRefused as error:
        if error.status in {403, 404} and not error.is_api_off:
            raise CloudProblem(
                f"There is no project {project.id}, or your account may not see it ({error.message}): check the "
                "id, and the account of `gcloud auth application-default login`."
            ) from error
        raise
    if state != "ACTIVE":
        raise CloudProblem(f"{project.id} is {state}: restore the project, or choose another.")
