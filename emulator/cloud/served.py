"""The deployed API at its public address. A new function answers some moments after its deployment."""

from emulator.cloud.deployed import deployed_functions, running_release
from emulator.cloud.people import NoAnswer, api_of
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Project

SUCCESS = 200
ATTEMPTS_MAX = 20
PAUSE_SECONDS = 3.0


def await_api(project: Project) -> str:
    """Wait a minute at most until the deployed release answers, and return its name. Raises CloudProblem."""
    release = running_release(deployed_functions(project.google))
    for _ in range(ATTEMPTS_MAX - 1):
        if _problem(project, release) is None:
            return release
        project.google.pause(PAUSE_SECONDS)
    problem = _problem(project, release)
    if problem is not None:
        raise problem
    return release


def _problem(project: Project, release: str) -> CloudProblem | None:
    """Return the error if the address is not served by the functions that were deployed, else None."""
    url = f"{api_of(project)}/v1/monitoring/info"
    status, told = project.web.call("GET", url)
    if status != SUCCESS:
        return NoAnswer(f"GET {url}", status, told)
    if told.get("project") != project.id:
        return CloudProblem(f"{url} is another project's API ({told.get('project')}): correct PUBLIC_URL.")
    if told.get("release") not in {None, "", release}:
        return CloudProblem(f"{url} runs {told['release']}, not {release}: wait a minute, and run the command again.")
    return None
