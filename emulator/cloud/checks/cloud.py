"""Checks of the Google project itself: billing, APIs, topics, roles, and whether alerts reach a person."""

from collections.abc import Iterator

from emulator.cloud.checks.check import check
from emulator.cloud.checks.project import ProjectFacts, names_of
from emulator.cloud.checks.secrets import bound_secrets
from emulator.cloud.roles import OBJECTS
from emulator.cloud.roles import SECRETS as READS_SECRETS

DEPLOY = "Run `make deploy PROJECT={project}`"
OR_DEPLOY = "or run `make deploy PROJECT={project}`."
ALERTS = "alerts"
BROAD_ROLES = frozenset({"roles/owner", "roles/editor"})
EVERYBODY = frozenset({"allUsers", "allAuthenticatedUsers"})
DEFAULT_ACCOUNTS = ("-compute@developer.gserviceaccount.com", "@appspot.gserviceaccount.com")
POWERFUL = frozenset(
    {
        "roles/iam.serviceAccountTokenCreator",
        "roles/iam.securityAdmin",
        "roles/resourcemanager.projectIamAdmin",
        "roles/secretmanager.admin",
        "roles/datastore.owner",
        "roles/firebase.admin",
        "roles/storage.admin",
    }
)
"""Roles that let a function give itself every other role, or delete what it should only use."""


@check("Link a billing account: https://console.cloud.google.com/billing/linkedaccount?project={project}.")
def billing_off(project: ProjectFacts) -> Iterator[str]:
    """The project has no billing account, so Google runs no function."""
    if not project.is_billed.value:
        yield "Billing is off."


@check("Set `MONTHLY_BUDGET` in `.env.{project}`, then run `make deploy PROJECT={project}`, which makes the budget.")
def budget_missing(project: ProjectFacts) -> Iterator[str]:
    """No budget watches the project's cost, so a fault or an attack is noticed with the invoice."""
    if project.is_billed.value and not project.budgets.value:
        yield "No budget covers this project."


@check(f"Enable the API: gcloud services enable NAME --project={{project}}; {OR_DEPLOY}")
def api_off(project: ProjectFacts) -> Iterator[str]:
    """An API of Google is off that functions, schedules or the deployment use."""
    for api in sorted(project.needs.apis - project.apis.value):
        yield f"The API {api} is off."


@check(DEPLOY + ", whose step `topics` creates missing topics.")
def topic_missing(project: ProjectFacts) -> Iterator[str]:
    """A Pub/Sub topic is missing to which functions publish, so their messages are lost or retried for ever."""
    for topic in sorted(project.needs.topics - project.topics.value):
        yield f"The topic `{topic}` does not exist."


@check("Set `ALERT_EMAIL` in `.env.{project}`, and run `make deploy PROJECT={project}`; or subscribe to `alerts`.")
def alerts_unheard(project: ProjectFacts) -> Iterator[str]:
    """Alerts reach nobody: the topic has no subscription, and no policy has a notification channel."""
    watch = project.watch.value
    if ALERTS in project.topics.value and not watch.subscriptions and not watch.heard:
        yield "Nobody hears alerts: the topic `alerts` has no subscription, and no alert policy a notification channel."


@check("Enable the channel in Cloud Monitoring, or add another.")
def channel_disabled(project: ProjectFacts) -> Iterator[str]:
    """A notification channel is switched off, so the person behind the channel is not paged."""
    for name, is_enabled in project.watch.value.channels.items():
        if not is_enabled:
            yield f"The notification channel “{name}” is disabled."


@check("Open the mail with the code that Cloud Monitoring has sent to the channel, or add another channel.")
def channel_unverified(project: ProjectFacts) -> Iterator[str]:
    """The address of a notification channel was never verified, so nothing is sent there."""
    for name in sorted(project.watch.value.unverified):
        yield f"The notification channel “{name}” is not verified."


@check(DEPLOY + ", whose step `monitoring` makes the metrics.")
def metric_missing(project: ProjectFacts) -> Iterator[str]:
    """A log-based metric is missing, so the alert policy that counts it stays silent."""
    for name in sorted(project.needs.metrics - project.watch.value.metrics):
        yield f"The log-based metric `{name}` does not exist."


@check(DEPLOY + ", whose step `monitoring` applies the policies in emulator/cloud/monitoring.")
def alert_policy_missing(project: ProjectFacts) -> Iterator[str]:
    """An alert policy of this repository is missing, so a failure pages nobody."""
    for name in sorted(project.needs.policies - project.watch.value.policies.keys()):
        yield f"The alert policy “{name}” does not exist."


@check("Enable the policy in Cloud Monitoring.")
def alert_policy_disabled(project: ProjectFacts) -> Iterator[str]:
    """An alert policy is switched off."""
    for name in sorted(project.needs.policies):
        if project.watch.value.policies.get(name) is False:
            yield f"The alert policy “{name}” is disabled."


@check(f"Grant the role (gcloud projects add-iam-policy-binding), {OR_DEPLOY}")
def role_missing(project: ProjectFacts) -> Iterator[str]:
    """A function's service account lacks a role, so calls of the function to Google are refused."""
    for account, functions in sorted(_accounts(project).items()):
        held = project.grants.value.get(f"serviceAccount:{account}", frozenset())
        if held & BROAD_ROLES or account.endswith(DEFAULT_ACCOUNTS):
            continue
        wanted = frozenset[str]().union(*(project.needs.functions[name].roles for name in functions))
        bucket = project.bucket.value if OBJECTS in wanted - held else None
        replaced = {OBJECTS} if bucket and f"serviceAccount:{account}" in bucket.members else set[str]()
        for role in sorted(wanted - held - {READS_SECRETS} - replaced):
            yield f"The service account {account} ({names_of(functions)}) lacks {role}."


@check(DEPLOY + ", whose step `access` lets each function read its own secrets.")
def secret_closed(project: ProjectFacts) -> Iterator[str]:
    """A function's service account may not read a secret of the function, so new instances cannot start."""
    bound = bound_secrets(project)
    for account, functions in sorted(_accounts(project).items()):
        held = project.grants.value.get(f"serviceAccount:{account}", frozenset())
        if held & {READS_SECRETS, *BROAD_ROLES} or account.endswith(DEFAULT_ACCOUNTS):
            continue
        wanted = frozenset[str]().union(*(bound[name] for name in functions))
        for secret in sorted(wanted & project.secrets.value.keys()):
            if account not in project.secrets.value[secret].readers:
                yield f"The service account {account} ({names_of(functions)}) may not read the secret `{secret}`."


@check("Take the access away: gcloud secrets remove-iam-policy-binding NAME, for roles/secretmanager.secretAccessor.")
def secret_open(project: ProjectFacts) -> Iterator[str]:
    """A function's service account may read a secret that the function does not need."""
    bound = bound_secrets(project)
    for account, functions in sorted(_accounts(project).items()):
        wanted = frozenset[str]().union(*(bound[name] for name in functions))
        for name, secret in sorted(project.secrets.value.items()):
            if account in secret.readers and name in project.needs.secrets - wanted:
                yield f"The service account {account} ({names_of(functions)}) may read `{name}` without need."


@check("Take the role away: gcloud projects remove-iam-policy-binding. functions.yaml names all that is needed.")
def role_too_broad(project: ProjectFacts) -> Iterator[str]:
    """A function's service account may do everything, so one fault in one function opens the whole project."""
    for account, functions in sorted(_accounts(project).items()):
        held = project.grants.value.get(f"serviceAccount:{account}", frozenset())
        wanted = frozenset[str]().union(*(project.needs.functions[name].roles for name in functions))
        for role in sorted(held & (BROAD_ROLES | POWERFUL) - wanted):
            yield f"The service account {account} ({names_of(functions)}) holds {role}."


@check(DEPLOY + ": the deployment gives each function an account of its own.")
def account_shared(project: ProjectFacts) -> Iterator[str]:
    """A function runs as the project's default account, which other programs of the project use, too."""
    for account, functions in sorted(_accounts(project).items()):
        if account.endswith(DEFAULT_ACCOUNTS):
            yield f"The functions {names_of(functions)} run as the project's default account {account}."


@check("Take the role away in IAM: nobody unknown needs a role on the whole project.")
def project_open_to_everybody(project: ProjectFacts) -> Iterator[str]:
    """Everybody on the internet holds a role on the project."""
    for member in sorted(EVERYBODY & project.grants.value.keys()):
        yield f"{member} holds {names_of(sorted(project.grants.value[member]))} on the project."


def _accounts(project: ProjectFacts) -> dict[str, list[str]]:
    """Return the names of the deployed functions by service account."""
    found: dict[str, list[str]] = {}
    for name, function in project.functions.value.items():
        if name in project.needs.functions and function.service_account:
            found.setdefault(function.service_account, []).append(name)
    return found


CHECKS = (
    billing_off,
    budget_missing,
    api_off,
    topic_missing,
    alerts_unheard,
    channel_disabled,
    channel_unverified,
    metric_missing,
    alert_policy_missing,
    alert_policy_disabled,
    role_missing,
    secret_closed,
    secret_open,
    role_too_broad,
    account_shared,
    project_open_to_everybody,
)
