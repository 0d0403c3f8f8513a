"""Checks of the way to the deployed API: public address, load balancer, Hosting, clocks."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from emulator.cloud.checks.check import check
from emulator.cloud.checks.laptop import is_private
from emulator.cloud.checks.payments import region_of
from emulator.cloud.checks.project import Probe, ProjectFacts
from emulator.cloud.checks.secrets import retired_keys, signing_keys
from shared.kernel.settings import SIGNING_KEY

API = "api"
GOOGLES_OWN = (".cloudfunctions.net", ".run.app")
HOSTING = (".web.app", ".firebaseapp.com")
OPEN = "ALLOW_ALL"
SECONDS_OFF_MAX = 30.0
UNAVAILABLE = "degraded"


@check("Deploy the function `api`, let everybody call it (role run.invoker), and correct `PUBLIC_URL`.")
def api_unreachable(project: ProjectFacts) -> Iterator[str]:
    """The API does not answer at its public address."""
    info = project.deployment.value.info
    function = project.functions.value.get(API)
    if not _is_info(info) and function and function.state == "ACTIVE":
        told = info.problem or f"status {info.status}"
        yield f"{project.settings.value.public_url} does not answer as this API: {told}."


@check("Correct `PUBLIC_URL`, or what leads that address to another project.")
def api_of_another_project(project: ProjectFacts) -> Iterator[str]:
    """Another project answers at the public address, so users pay there and are credited here."""
    told = project.deployment.value.info.json.get("project")
    if told and told != project.name:
        yield f"{project.settings.value.public_url} is answered by the project {told}."


@check("Deploy again.")
def api_of_another_region(project: ProjectFacts) -> Iterator[str]:
    """The deployed API runs in another region than the settings name."""
    told = project.deployment.value.info.json.get("region")
    if told and told != region_of(project) and not _is_foreign(project):
        yield f"The API says that it runs in {told}; the settings say {region_of(project)}."


@check("Set `LEDGER_ID` back to the name that the ledger has: a ledger never changes its name.")
def ledger_renamed(project: ProjectFacts) -> Iterator[str]:
    """The deployed API has another ledger's name than the settings, so the next deployment would lose all accounts."""
    told = project.deployment.value.info.json.get("ledger_id")
    if told and told != project.settings.value.ledger_id and not _is_foreign(project):
        yield f"The deployed ledger is called {told}; the settings say {project.settings.value.ledger_id}."


@check("Look at Firestore's status and at the log of the function `api`.")
def store_unavailable(project: ProjectFacts) -> Iterator[str]:
    """The deployed API cannot read its database."""
    if project.deployment.value.status.json.get("status") == UNAVAILABLE:
        yield "The deployed API cannot read its database."


@check("Set the clock of this machine by a time server.")
def clock_differs(project: ProjectFacts) -> Iterator[str]:
    """The clock of this machine differs from Google's, so signatures and times made here are refused."""
    deployment = project.deployment.value
    seconds = deployment.info.seconds_off
    if abs(seconds) <= SECONDS_OFF_MAX:
        if deployment.signed.json.get("reason") == "time":
            yield "The deployed Stripe webhook finds the time of this machine more than five minutes off."
    else:
        yield f"The clock of this machine is {abs(seconds):.0f} s {'behind' if seconds > 0 else 'ahead'}."


@check("Let apps call the function's own address or a load balancer; delete the rewrite in firebase.json.")
def api_behind_hosting(project: ProjectFacts) -> Iterator[str]:
    """The API stands behind Firebase Hosting, which holds streams back and ends an answer after 60 seconds."""
    settings = project.settings.value
    host = urlsplit(settings.public_url).hostname or ""
    if host.endswith(HOSTING) or settings.client_address_from == "hosting":
        yield "The API is called through Firebase Hosting: answers are not streamed, and end after 60 seconds."


@check("Set `CLIENT_ADDRESS_FROM` to what stands in front: `function` for nothing, else `load_balancer`.")
def address_source_wrong(project: ProjectFacts) -> Iterator[str]:
    """The client's address is read from the wrong place, so callers forge addresses or share one."""
    settings = project.settings.value
    host = urlsplit(settings.public_url).hostname or ""
    source = settings.client_address_from
    if source == "direct":
        yield "`CLIENT_ADDRESS_FROM` is `direct`: every caller has the address of Google's front end."
    elif host.endswith(GOOGLES_OWN) and source != "function":
        yield f"`CLIENT_ADDRESS_FROM` is `{source}`, and `PUBLIC_URL` the function's own address: callers forge theirs."
    elif not host.endswith((*GOOGLES_OWN, *HOSTING)) and source == "function" and not is_private(settings.public_url):
        yield f"`CLIENT_ADDRESS_FROM` is `function`, and {host} stands in front: all callers share its address."


@check("Set `CLIENT_ADDRESS_FROM=load_balancer` and deploy again: the function then takes no other calls.")
def own_address_open(project: ProjectFacts) -> Iterator[str]:
    """The function's own address is open past the load balancer, so callers go around and forge their addresses."""
    function = project.functions.value.get(API)
    settings = project.settings.value
    is_own = (urlsplit(settings.public_url).hostname or "").endswith(GOOGLES_OWN)
    is_fronted = settings.client_address_from in {"load_balancer", "proxy"} and not is_own
    own = project.deployment.value.own
    if is_fronted and function and (function.ingress == OPEN or _is_info(own)):
        yield "The function `api` answers past what stands in front: there, callers forge addresses."


@check("Set ingressSettings to ALLOW_ALL, or put a load balancer in front.")
def own_address_closed(project: ProjectFacts) -> Iterator[str]:
    """Nothing stands in front of the API, and the function takes calls of a load balancer only."""
    function = project.functions.value.get(API)
    if project.settings.value.client_address_from == "function" and function and function.ingress != OPEN:
        yield f"The function `api` admits {function.ingress} only, and nothing stands in front."


@check("Deploy again: functions read a new version of a secret only then.")
def signing_key_not_deployed(project: ProjectFacts) -> Iterator[str]:
    """The deployed API publishes other verification keys than the secret has."""
    told = {str(each.get("kid")) for each in project.deployment.value.keys.json.get("items") or ()}
    told -= retired_keys(project)
    stored = {key.kid for key in signing_keys(project.secret(SIGNING_KEY))}
    function = project.functions.value.get(API)
    is_unpinned = function is not None and function.secrets.get(SIGNING_KEY) == "latest"
    if told and stored and told != stored and is_unpinned and not _is_foreign(project):
        yield f"The API publishes the keys {', '.join(sorted(told))}; the secret has {', '.join(sorted(stored))}."


def _is_info(answer: Probe) -> bool:
    return "ledger_id" in answer.json


def _is_foreign(project: ProjectFacts) -> bool:
    return project.deployment.value.info.json.get("project") != project.name


CHECKS = (
    api_unreachable,
    api_of_another_project,
    api_of_another_region,
    ledger_renamed,
    store_unavailable,
    clock_differs,
    api_behind_hosting,
    address_source_wrong,
    own_address_open,
    own_address_closed,
    signing_key_not_deployed,
)
