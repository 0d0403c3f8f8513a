"""Checks of deployed functions and their schedules: each is there, runs, and is as this release describes it."""

import re
from collections.abc import Iterator
from datetime import timedelta

from emulator.cloud.checks.check import check
from emulator.cloud.checks.cloud import DEPLOY
from emulator.cloud.checks.needs import FunctionNeeds
from emulator.cloud.checks.payments import region_of
from emulator.cloud.checks.project import FunctionFacts, ProjectFacts, names_of
from emulator.cloud.checks.secrets import bound_secrets
from emulator.cloud.checks.settings import EMULATOR_SETTING, KNOWN
from emulator.cloud.deployed import RELEASE

ACTIVE, ENABLED = "ACTIVE", "ENABLED"
RELEASED = re.compile(r"v\d")
"""Beginning of the name of a release, and of a tree after a release."""
API = "api"
LATE_AFTER = {"every_minute": timedelta(minutes=10), "every_day": timedelta(hours=26)}
"""Time after the last attempt of a schedule at which the schedule's clock has stopped."""
AGAIN = DEPLOY + " again."


@check(AGAIN)
def function_missing(project: ProjectFacts) -> Iterator[str]:
    """A function of this release is not deployed."""
    for name in sorted(project.needs.functions.keys() - project.functions.value.keys()):
        yield f"The function `{name}` is not deployed."


@check("Look at the function's log and build in the Google Cloud console, correct the cause, and deploy again.")
def function_failed(project: ProjectFacts) -> Iterator[str]:
    """A deployed function is not running: its last deployment failed, or is still under way."""
    for function, _ in _both(project):
        if function.state != ACTIVE:
            told = f": {function.problem}" if function.problem else ""
            yield f"The function `{function.name}` is {function.state.lower()}{told}."


@check(AGAIN)
def function_limits_differ(project: ProjectFacts) -> Iterator[str]:
    """A function has other limits than the manifest: memory, processors, concurrency, time or instances."""
    for function, needs in _both(project):
        for noun, is_, wanted in _limits(function, needs):
            if wanted is not None and str(is_) != str(wanted):
                yield f"The function `{function.name}` has {noun} {is_}; the manifest says {wanted}."


@check("Deploy all functions of one release: make deploy PROJECT={project}.")
def function_of_other_release(project: ProjectFacts) -> Iterator[str]:
    """Functions of different releases run beside each other, since a deployment ended half-way."""
    releases: dict[str, list[str]] = {}
    for function, _ in _both(project):
        if release := function.settings.get(RELEASE):
            releases.setdefault(release, []).append(function.name)
    if len(releases) > 1:
        told = "; ".join(f"{release}: {names_of(names)}" for release, names in sorted(releases.items()))
        yield f"Functions of several releases run: {told}."


@check("Set `REGION`, deploy again, and delete the functions in the old region.")
def function_elsewhere(project: ProjectFacts) -> Iterator[str]:
    """A function runs in another region than the setting names."""
    wanted = region_of(project)
    for function, _ in _both(project):
        if function.region != wanted:
            yield f"The function `{function.name}` runs in {function.region}, not in {wanted}."


@check("Delete the function in the old region: gcloud functions delete NAME --region=REGION --project={project}")
def function_twice(project: ProjectFacts) -> Iterator[str]:
    """A function also runs in a second region, so that each event and each schedule is handled twice."""
    for name in sorted(project.functions.value.keys() - project.needs.functions.keys()):
        function = project.functions.value[name]
        if function.name in project.needs.functions:
            yield f"The function `{function.name}` also runs in {function.region}."


@check(
    "If nothing else needs the function: gcloud functions delete NAME --region=REGION --project={project}",
    severity="hint",
)
def function_surplus(project: ProjectFacts) -> Iterator[str]:
    """A function is deployed that this release does not have; an earlier release may have left the function."""
    for name, function in sorted(project.functions.value.items()):
        if function.name not in project.needs.functions:
            yield f"The function `{name}` is not part of this release."


@check("Deploy again: functions read changed settings only then.")
def setting_not_deployed(project: ProjectFacts) -> Iterator[str]:
    """A setting was changed after the deployment, so functions still have the old value."""
    values = project.values
    for name in sorted((values.keys() | KNOWN | _emulators(project)) - {RELEASE}):
        differing = [
            each.name for each, _ in _both(project) if name in each.settings and each.settings[name] != values.get(name)
        ]
        if differing and name not in project.needs.secrets:
            yield f"`{name}` has another value in {names_of(differing)} than in the file."


@check(
    "Deploy again without the value; then replace the secret at its provider: everybody who may see functions saw it."
)
def secret_in_function_settings(project: ProjectFacts) -> Iterator[str]:
    """A deployed function has a secret among its plain settings."""
    for name in sorted(project.needs.secrets):
        functions = [each.name for each, _ in _both(project) if name in each.settings]
        if functions:
            yield f"`{name}` stands in plain text among the settings of {names_of(functions)}."


@check(
    "Deploy this tree, or check out the release that runs: make rollback PROJECT={project} goes back.", severity="hint"
)
def release_differs(project: ProjectFacts) -> Iterator[str]:
    """Another release runs than the one in this folder, whose manifest the doctor compares with."""
    here = project.needs.release
    running = {each.settings[RELEASE] for each, _ in _both(project) if each.settings.get(RELEASE)}
    if RELEASED.match(here) and running and running != {here}:
        yield f"{', '.join(sorted(running))} runs, and this folder is {here}."


@check("Deploy again: functions read a new version of a secret only then.")
def secret_not_deployed(project: ProjectFacts) -> Iterator[str]:
    """A secret has a newer version than the one that a function is bound to."""
    for name, secret in sorted(project.secrets.value.items()):
        latest = secret.latest
        if latest is None or latest.state != ENABLED:
            continue
        current = {"latest", str(latest.number)}
        old = [each.name for each, _ in _both(project) if each.secrets.get(name, "latest") not in current]
        if old:
            yield f"Version {latest.number} of `{name}` is not yet in {names_of(old)}."


@check("Deploy again, with the manifest of this release.")
def secret_not_bound(project: ProjectFacts) -> Iterator[str]:
    """A function lacks a secret that the manifest gives to the function."""
    wanted = bound_secrets(project)
    for name in sorted(project.secrets.value):
        lacking = [each.name for each, _ in _both(project) if name in wanted[each.name] and name not in each.secrets]
        if lacking:
            yield f"The secret `{name}` is not bound to {names_of(lacking)}."


@check("Set `MIN_INSTANCES=1`, if a first answer after a pause may not take seconds.", severity="hint")
def no_instance_waits(project: ProjectFacts) -> Iterator[str]:
    """No instance of the API waits for calls, so the first call after a pause waits for a start."""
    function = project.functions.value.get(API)
    if function and not function.instances_min:
        yield "The function `api` has no least number of instances: the first call after a pause takes seconds."


@check(AGAIN)
def schedule_missing(project: ProjectFacts) -> Iterator[str]:
    """A schedule has no job at Cloud Scheduler, so periodic work stands still."""
    for name, needs in sorted(project.needs.functions.items()):
        if needs.schedule and name in project.functions.value and name not in project.jobs.value:
            yield f"Cloud Scheduler has no job for `{name}`."


@check("gcloud scheduler jobs resume firebase-schedule-NAME-REGION --location=REGION --project={project}")
def schedule_paused(project: ProjectFacts) -> Iterator[str]:
    """A schedule is paused, so periodic work stands still."""
    for name, job in sorted(project.jobs.value.items()):
        if name in project.needs.functions and job.state != ENABLED:
            yield f"The schedule of `{name}` is {job.state.lower()}."


@check(AGAIN)
def schedule_differs(project: ProjectFacts) -> Iterator[str]:
    """A schedule has other times than the manifest."""
    for name, job in sorted(project.jobs.value.items()):
        needs = project.needs.functions.get(name)
        if needs and needs.schedule and (job.schedule, job.zone) != (needs.schedule, needs.zone):
            wanted = f"“{needs.schedule}” ({needs.zone})"
            yield f"`{name}` runs at “{job.schedule}” ({job.zone}); the manifest says {wanted}."


@check("Look at the function's log in the Google Cloud console.")
def schedule_failed(project: ProjectFacts) -> Iterator[str]:
    """The last run of a schedule failed."""
    for name, job in sorted(project.jobs.value.items()):
        if name in project.needs.functions and job.code:
            yield f"The last run of `{name}` failed (code {job.code})."


@check("Look at Cloud Scheduler and at the function's log: periodic work stands still.")
def schedule_late(project: ProjectFacts) -> Iterator[str]:
    """A schedule has not run for too long."""
    for name, job in sorted(project.jobs.value.items()):
        limit = LATE_AFTER.get(name)
        since = job.attempted_at or job.changed_at
        if limit is None or since is None or job.state != ENABLED or project.now - since <= limit:
            continue
        told = f"last ran at {job.attempted_at:%Y-%m-%d %H:%M} UTC" if job.attempted_at else "has never run"
        yield f"`{name}` {told}."


def _emulators(project: ProjectFacts) -> set[str]:
    """Return the names of settings of deployed functions that lead to an emulator."""
    return {name for each, _ in _both(project) for name in each.settings if EMULATOR_SETTING.fullmatch(name)}


def _both(project: ProjectFacts) -> Iterator[tuple[FunctionFacts, FunctionNeeds]]:
    for name, function in sorted(project.functions.value.items()):
        if name in project.needs.functions:
            yield function, project.needs.functions[name]


def _limits(function: FunctionFacts, needs: FunctionNeeds) -> Iterator[tuple[str, object, object]]:
    yield "memory (MB)", function.memory_mb, needs.memory_mb
    yield "processors", function.cpu or "by memory", needs.cpu
    yield "concurrency", function.concurrency, needs.concurrency
    yield "seconds", function.timeout_seconds, needs.timeout_seconds
    yield "trigger", function.event or "no event", needs.event or "no event"
    yield "retries of failed events", "on" if function.is_retried else "off", "on" if needs.is_retried else "off"
    yield "most instances", function.instances_max or "no limit", needs.instances_max


CHECKS = (
    function_missing,
    function_failed,
    function_limits_differ,
    function_of_other_release,
    function_elsewhere,
    function_twice,
    function_surplus,
    setting_not_deployed,
    secret_in_function_settings,
    release_differs,
    secret_not_deployed,
    secret_not_bound,
    no_instance_waits,
    schedule_missing,
    schedule_paused,
    schedule_differs,
    schedule_failed,
    schedule_late,
)
