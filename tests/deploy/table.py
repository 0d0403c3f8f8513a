"""What a deployment of this repository asks of Google, function by function. A change here changes production."""

from dataclasses import dataclass

DATABASE = "roles/datastore.user"
EVENTS = "roles/eventarc.eventReceiver"
INVOKER = "roles/run.invoker"
OBJECTS = "roles/storage.objectUser"
READS_SECRETS = "roles/secretmanager.secretAccessor"
TOPICS = "roles/pubsub.publisher"
USERS = "roles/firebaseauth.admin"
USERS_READ = "roles/firebaseauth.viewer"
TRIGGERED = {EVENTS, INVOKER}

KEY, LOG, MARKS, AI = "LEDGER_SIGNING_KEY", "LEDGER_LOG_KEY", "MARKS_SECRET", "AI_PLATFORM_API_KEY"
STRIPE, STRIPE_HOOK, PAYPAL = "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "PAYPAL_CLIENT_SECRET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One function as deployed. `trigger` is `http`, a schedule, or an event type with its filter."""

    trigger: tuple[str, ...]
    memory: str = "512Mi"
    concurrency: int
    instances_max: int
    seconds: int = 540
    retry: bool | None = None
    secrets: tuple[str, ...] = ()
    roles: set[str]
    invokers: tuple[str, ...] = ()


def document(change: str, pattern: str) -> tuple[str, ...]:
    return (f"google.cloud.firestore.document.v1.{change}", pattern)


def topic(name: str) -> tuple[str, ...]:
    return ("google.cloud.pubsub.topic.v1.messagePublished", name)


FUNCTIONS = {
    "api": Row(
        trigger=("http",),
        memory="1024Mi",
        concurrency=80,
        instances_max=50,
        secrets=(KEY, MARKS, AI, STRIPE, PAYPAL),
        roles={DATABASE, OBJECTS, TOPICS, USERS},
        invokers=("allUsers",),
    ),
    "on_user_created": Row(
        trigger=document("created", "users/{uid}"),
        concurrency=8,
        instances_max=5,
        retry=True,
        secrets=(KEY, MARKS),
        roles={DATABASE, TOPICS, *TRIGGERED},
    ),
    "on_user_deleted": Row(
        trigger=("google.firebase.auth.user.v2.deleted",),
        concurrency=8,
        instances_max=5,
        retry=True,
        secrets=(KEY, MARKS, STRIPE, PAYPAL),
        roles={DATABASE, OBJECTS, TOPICS, USERS, *TRIGGERED},
    ),
    "on_ledger_entry": Row(
        trigger=document("written", "accounts/{uid}/outbox/{id}"),
        concurrency=16,
        instances_max=20,
        retry=True,
        secrets=(KEY, MARKS),
        roles={DATABASE, TOPICS, *TRIGGERED},
    ),
    "on_entry_updated": Row(
        trigger=document("updated", "accounts/{uid}/entries/{seq}"),
        concurrency=8,
        instances_max=5,
        retry=True,
        secrets=(KEY, MARKS),
        roles={DATABASE, TOPICS, *TRIGGERED},
    ),
    "on_entry_deleted": Row(
        trigger=document("deleted", "accounts/{uid}/entries/{seq}"),
        concurrency=8,
        instances_max=5,
        retry=True,
        secrets=(KEY, MARKS),
        roles={DATABASE, TOPICS, *TRIGGERED},
    ),
    "generate_image": Row(
        trigger=topic("image-jobs"),
        memory="1024Mi",
        concurrency=8,
        instances_max=20,
        retry=True,
        secrets=(KEY, MARKS, AI),
        roles={DATABASE, OBJECTS, TOPICS, USERS_READ, *TRIGGERED},
    ),
    "stripe_webhook": Row(
        trigger=("http",),
        concurrency=16,
        instances_max=10,
        secrets=(STRIPE_HOOK,),
        roles={DATABASE, TOPICS},
        invokers=("allUsers",),
    ),
    "paypal_webhook": Row(
        trigger=("http",),
        concurrency=16,
        instances_max=10,
        secrets=(PAYPAL,),
        roles={DATABASE, TOPICS},
        invokers=("allUsers",),
    ),
    "on_provider_event": Row(
        trigger=document("created", "inbox/{id}"),
        concurrency=16,
        instances_max=3,
        retry=True,
        secrets=(KEY, MARKS, STRIPE, PAYPAL),
        roles={DATABASE, TOPICS, *TRIGGERED},
    ),
    "run_agent_step": Row(
        trigger=topic("agent-steps"),
        memory="1024Mi",
        concurrency=8,
        instances_max=20,
        retry=True,
        secrets=(KEY, MARKS, AI),
        roles={DATABASE, OBJECTS, TOPICS, USERS_READ, *TRIGGERED},
    ),
    "every_minute": Row(
        trigger=("every 1 minutes", "UTC"),
        concurrency=1,
        instances_max=3,
        seconds=300,
        secrets=(KEY, LOG, MARKS, STRIPE, PAYPAL),
        roles={DATABASE, OBJECTS, TOPICS, USERS},
        invokers=("itself",),
    ),
    "every_day": Row(
        trigger=("17 3 * * *", "UTC"),
        concurrency=1,
        instances_max=1,
        seconds=300,
        secrets=(KEY, MARKS, STRIPE, PAYPAL),
        roles={DATABASE, OBJECTS, TOPICS, USERS},
        invokers=("itself",),
    ),
}
APIS = {
    "artifactregistry", "cloudbuild", "cloudfunctions", "cloudresourcemanager", "cloudscheduler", "eventarc",
    "firestore", "iam", "identitytoolkit", "pubsub", "run", "secretmanager", "storage",
}  # fmt: skip
TRIGGER_TOPICS = {"agent-steps", "image-jobs"}
OTHER_TOPICS = {"alerts", "credit-events", "health"}
DATABASE_SETTINGS = {
    "locationId": "eur3",
    "type": "FIRESTORE_NATIVE",
    "pointInTimeRecoveryEnablement": "POINT_IN_TIME_RECOVERY_ENABLED",
    "deleteProtectionState": "DELETE_PROTECTION_ENABLED",
}
BACKUPS = {("dailyRecurrence", "604800s"), ("weeklyRecurrence", "8467200s")}
BUCKET = {
    "location": "US-CENTRAL1",
    "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"},
}
