"""Readers of the Google project itself: billing, APIs, topics, who hears alerts, and roles."""

from collections.abc import Mapping

from emulator.cloud.checks.project import Watch
from emulator.cloud.google import Google

BILLING = "https://cloudbilling.googleapis.com/v1"
BUDGETS = "https://billingbudgets.googleapis.com/v1"
PROJECTS = "https://cloudresourcemanager.googleapis.com/v1/projects"
SERVICES = "https://serviceusage.googleapis.com/v1"
PUBSUB = "https://pubsub.googleapis.com/v1"
LOGGING = "https://logging.googleapis.com/v2"
MONITORING = "https://monitoring.googleapis.com/v3"


def read_apis(google: Google) -> frozenset[str]:
    """Return the names of the enabled APIs."""
    url = f"{SERVICES}/projects/{google.project}/services"
    found = google.items(url, "services", filter="state:ENABLED", pageSize=200)
    return frozenset(str(each["name"]).rpartition("/")[2] for each in found)


def read_billing(google: Google) -> bool:
    """Return True if a billing account pays for the project."""
    return bool(google.get(f"{BILLING}/projects/{google.project}/billingInfo").get("billingEnabled"))


def read_budgets(google: Google) -> int:
    """Return the number of budgets that cover the project."""
    account = google.get(f"{BILLING}/projects/{google.project}/billingInfo").get("billingAccountName")
    if not account:
        return 0
    number = google.get(f"{PROJECTS}/{google.project}")["projectNumber"]
    ours = {f"projects/{number}", f"projects/{google.project}"}
    filters = [each.get("budgetFilter") or {} for each in google.items(f"{BUDGETS}/{account}/budgets", "budgets")]
    return sum(1 for each in filters if not each.get("projects") or ours & set(each["projects"]))


def read_topics(google: Google) -> frozenset[str]:
    """Return the names of the Pub/Sub topics."""
    found = google.items(f"{PUBSUB}/projects/{google.project}/topics", "topics")
    return frozenset(str(each["name"]).rpartition("/")[2] for each in found)


def read_watch(google: Google, topics: frozenset[str]) -> Watch:
    """Return all that pages a person."""
    base = f"{MONITORING}/projects/{google.project}"
    channels = list(google.items(f"{base}/notificationChannels", "notificationChannels"))
    policies = list(google.items(f"{base}/alertPolicies", "alertPolicies"))
    enabled = {str(each["name"]) for each in channels if each.get("enabled", True)}
    return Watch(
        subscriptions=_subscriptions(google) if "alerts" in topics else (),
        channels={_title(each): bool(each.get("enabled", True)) for each in channels},
        policies={_title(each): bool(each.get("enabled", True)) for each in policies},
        unverified=frozenset(_title(each) for each in channels if each.get("verificationStatus") == "UNVERIFIED"),
        metrics=frozenset(
            str(each["name"]) for each in google.items(f"{LOGGING}/projects/{google.project}/metrics", "metrics")
        ),
        heard=frozenset(_title(each) for each in policies if enabled & set(each.get("notificationChannels") or ())),
    )


def read_grants(google: Google) -> Mapping[str, frozenset[str]]:
    """Return the roles on the project by member."""
    policy = google.post(f"{PROJECTS}/{google.project}:getIamPolicy", {"options": {"requestedPolicyVersion": 3}})
    found: dict[str, set[str]] = {}
    for binding in policy.get("bindings") or ():
        for member in binding.get("members") or ():
            found.setdefault(str(member), set()).add(str(binding["role"]))
    return {member: frozenset(roles) for member, roles in found.items()}


def _subscriptions(google: Google) -> tuple[str, ...]:
    url = f"{PUBSUB}/projects/{google.project}/topics/alerts/subscriptions"
    return tuple(str(each).rpartition("/")[2] for each in google.items(url, "subscriptions"))


def _title(thing: Mapping[str, object]) -> str:
    return str(thing.get("displayName") or thing["name"])
