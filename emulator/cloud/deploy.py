"""`make deploy PROJECT=…`: bring a Google project to what this source tree needs, step by step.

Each step looks at Google and not at a file. So a deploy after an interrupted one makes only the missing changes, and a
second deploy changes nothing. `PLAN=1` says all changes and makes none.
"""

import sys
from collections.abc import Sequence

from emulator.cloud.problems import CloudProblem, GoogleFailed, GoogleRefused
from emulator.cloud.project import Change, Project, Step
from emulator.cloud.release import release_of
from emulator.cloud.session import end_as_with_ctrl_c, open_project
from emulator.cloud.steps import (
    access,
    anchors,
    apis,
    bucket,
    catalogue,
    checks,
    database,
    functions,
    monitoring,
    rules,
    secrets,
    sign_in,
    smoke,
    topics,
    webhooks,
)

STEPS: tuple[Step, ...] = (
    Step(name="checks", purpose="check project, billing and settings", look=checks.look),
    Step(name="APIs", purpose="turn on Google's APIs", look=apis.look),
    Step(name="database", purpose="create the database, protect it and make backups", look=database.look),
    Step(name="sign-in", purpose="start Firebase Auth and write the web app's key", look=sign_in.look),
    Step(name="webhooks", purpose="register the webhooks of the payment providers in use", look=webhooks.look),
    Step(name="secrets", purpose="store each secret that the functions need", look=secrets.look),
    Step(name="topics", purpose="create all topics", look=topics.look),
    Step(name="bucket", purpose="create the private bucket of users' files", look=bucket.look),
    Step(name="anchors", purpose="make and lock the bucket of the log's anchors, if one is named", look=anchors.look),
    Step(name="rules", purpose="publish rules and indexes, and wait until they are ready", look=rules.look),
    Step(
        name="functions",
        purpose="deploy the functions",
        look=functions.look,
        after=("sign-in", "webhooks", "secrets", "topics", "bucket", "anchors"),
    ),
    Step(name="old webhooks", purpose="delete endpoints that others replace", look=webhooks.look_at_old),
    Step(name="monitoring", purpose="put metrics, alert policies and the budget", look=monitoring.look),
    Step(name="catalogue", purpose="put models and packages of catalogue.yaml", look=catalogue.look),
    Step(
        name="smoke test",
        purpose="sign up a user, ask a model, verify the ledger, leave",
        look=smoke.look,
        after=("functions",),
    ),
    Step(name="least access", purpose="take back roles on every secret and bucket", look=access.look_at_excess),
)
ROUNDS_MAX = 8
"""Most rounds of looking and acting in one step. Some changes become visible only when others are made."""
SETTLING_LOOKS = 10
SETTLING_SECONDS = 3.0


class StepFailed(CloudProblem):
    """Error of a step: the name of the step, and the reason in the words of who refused."""

    def __init__(self, step: Step, project: Project, why: str) -> None:
        super().__init__(
            f"The step “{step.name}” stopped. {why}\n"
            f"When that is done, run make deploy PROJECT={project.id} again: it goes on from here."
        )


def deploy(project: Project) -> None:
    """Make all changes of all steps, in their order. Raises StepFailed."""
    say = project.terminal.say
    say(f"{release_of(project.root)} to {project.id}, in {project.region}")
    for number, step in enumerate(STEPS, 1):
        say(f"{number:3}/{len(STEPS)} {step.name}")
        try:
            carry_out(step, project)
        except CloudProblem as error:
            raise StepFailed(step, project, _advice(error)) from error
    say(f"{release_of(project.root)} runs: {project.settings.get('PUBLIC_URL', project.function_url('api'))}/v1")


def carry_out(step: Step, project: Project) -> None:
    """Look and act until nothing is left to do."""
    changes = step.look(project)
    if not changes:
        project.terminal.say("     as it should be")
    for _ in range(ROUNDS_MAX):
        if not changes or not _act(changes, project):
            return
        changes = _settle(step, project, changes)
    if changes:
        raise CloudProblem("The changes do not come to an end: report this, with what is printed above.")


def _act(changes: Sequence[Change], project: Project) -> bool:
    """Make the changes. Return False if the person did not agree to one."""
    for change in changes:
        project.terminal.say(f"   + {change.says}")
        if change.question and not project.terminal.agrees(change.question):
            project.terminal.say("     left as it is: nobody said yes (YES=1 says yes)")
            return False
        change.do()
    return True


def _settle(step: Step, project: Project, made: Sequence[Change]) -> Sequence[Change]:
    """Wait until Google shows the changes, and return those that are left. Raises CloudProblem if one has no effect."""
    said = without_effect = {change.says for change in made}
    for _ in range(SETTLING_LOOKS):
        left = step.look(project)
        without_effect = said & {change.says for change in left}
        if not without_effect:
            return left
        project.google.pause(SETTLING_SECONDS)
    first = min(without_effect).splitlines()[0]
    raise CloudProblem(f"Google does not show this change yet: {first}. Wait some minutes.")


def plan(project: Project) -> bool:
    """Say the changes of all steps, and make none. Return False if a step would stop the deploy."""
    say = project.terminal.say
    say(f"Plan: {release_of(project.root)} to {project.id}, in {project.region}. Nothing is changed.")
    changing: set[str] = set()
    is_sound = True
    for number, step in enumerate(STEPS, 1):
        say(f"{number:3}/{len(STEPS)} {step.name}")
        causes = [name for name in step.after if name in changing]
        try:
            lines = [f"   + {change.says}" for change in step.look(project)]
        except CloudProblem as error:
            lines, is_blocking = _unseen(step, error, changing)
            is_sound = is_sound and not is_blocking
        if not lines and causes:
            lines = [f"   + {step.purpose}, after the changes of {', '.join(causes)}"]
        if lines:
            changing.add(step.name)
        for line in lines or ["     as it should be"]:
            say(line)
    return is_sound


def _unseen(step: Step, error: CloudProblem, changing: set[str]) -> tuple[list[str], bool]:
    """Return the lines for a step that cannot look, and whether the deploy would stop there."""
    if isinstance(error, GoogleRefused) and error.is_api_off and "APIs" in changing:
        return [f"   ? {step.purpose}: which of it is there already is unknown until the APIs are on"], False
    return [f"   ! would stop: {_advice(error)}"], True


def _advice(error: CloudProblem) -> str:
    """Return the error with what to do about it."""
    told = str(error)
    if not isinstance(error, GoogleFailed):
        return told
    if isinstance(error, GoogleRefused) and error.status == 403 and not error.is_api_off:  # noqa: PLR2004
        return f"{told} You need the role Owner, or the roles that docs/deploy.md lists."
    if isinstance(error, GoogleRefused) and error.status == 401:  # noqa: PLR2004
        return f"{told} Sign in again: gcloud auth application-default login."
    if isinstance(error, GoogleRefused) and error.is_api_off:
        return f"{told} An API that was just turned on may need some minutes."
    return told


def main() -> int:
    end_as_with_ctrl_c()
    try:
        with open_project(sys.argv[1:]) as project:
            if project.is_plan:
                return 0 if plan(project) else 1
            deploy(project)
    except CloudProblem as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again: it goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
