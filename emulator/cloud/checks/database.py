"""Checks of the Firestore database and the bucket: place, recovery, backups, indexes, rules, and who may read."""

from collections.abc import Iterator

from emulator.cloud.checks.check import check
from emulator.cloud.checks.cloud import DEPLOY, EVERYBODY
from emulator.cloud.checks.payments import region_of
from emulator.cloud.checks.project import Bucket, Database, ProjectFacts

NATIVE = "FIRESTORE_NATIVE"
READY, REPAIR = "READY", "NEEDS_REPAIR"
MULTI_REGIONS = {"nam5": "us-", "nam7": "us-", "eur3": "europe-", "us": "us-", "eu": "europe-", "asia": "asia-"}
"""Continents that spread data over several regions, with the beginning of those regions' names."""
BACKUP_DAYS_MIN = 7
CHANGED_WITH = "gcloud firestore databases update --project={project} "


@check(DEPLOY + ", whose step `database` creates the database.")
def database_missing(project: ProjectFacts) -> Iterator[str]:
    """The project has no Firestore database named `(default)`."""
    if project.database.value is None:
        yield "The Firestore database `(default)` does not exist."


@check("Take another project: the kind of a database that has data cannot be changed.")
def database_of_other_kind(project: ProjectFacts) -> Iterator[str]:
    """The database is in Datastore mode, in which no app can listen."""
    for database in _database(project):
        if database.kind != NATIVE:
            yield f"The database is of the kind {database.kind}, not {NATIVE}."


@check(CHANGED_WITH + "--enable-pitr")
def database_without_recovery(project: ProjectFacts) -> Iterator[str]:
    """Point-in-time recovery is off, so a wrong write cannot be taken back."""
    for database in _database(project):
        if not database.has_recovery:
            yield "Point-in-time recovery of the database is off."


@check(CHANGED_WITH + "--delete-protection")
def database_deletable(project: ProjectFacts) -> Iterator[str]:
    """Delete protection is off, so one command deletes the ledger."""
    for database in _database(project):
        if not database.is_protected:
            yield "The database has no delete protection."


@check(
    "Make a schedule: gcloud firestore backups schedules create --database='(default)' --recurrence=daily "
    "--retention=14w --project={project}"
)
def backup_missing(project: ProjectFacts) -> Iterator[str]:
    """The database has no backup schedule."""
    for database in _database(project):
        if not database.backup_days:
            yield "The database has no backup schedule."


@check("Lengthen the retention of a backup schedule: a fault is often found after days.")
def backup_short(project: ProjectFacts) -> Iterator[str]:
    """Backups of the database are deleted within days."""
    for database in _database(project):
        if database.backup_days and max(database.backup_days) < BACKUP_DAYS_MIN:
            yield f"Backups of the database are kept for {max(database.backup_days)} days."


@check("Deploy the functions in the database's region (`REGION`); a database cannot move.")
def database_elsewhere(project: ProjectFacts) -> Iterator[str]:
    """The database is far from the functions, so every commit takes several times as long."""
    for database in _database(project):
        if not is_near(database.location, region_of(project)):
            yield f"The database is in {database.location}, and the functions are in {region_of(project)}."


@check("firebase deploy --only firestore:indexes --project {project}; Google then builds the index.")
def index_missing(project: ProjectFacts) -> Iterator[str]:
    """An index of this release is missing, so queries that need the index fail."""
    for index in sorted(project.needs.indexes - project.indexes.value.keys()):
        yield f"The index {index} does not exist."


@check("Wait until Google has built the index; `make deploy PROJECT={project}` waits for that.")
def index_not_ready(project: ProjectFacts) -> Iterator[str]:
    """An index is still being built, so queries that need the index fail."""
    for index, state in sorted(project.indexes.value.items()):
        if state not in {READY, REPAIR}:
            yield f"The index {index} is {state.lower()}."


@check("Delete the index in the Firebase console, and deploy the indexes again.")
def index_broken(project: ProjectFacts) -> Iterator[str]:
    """Google could not build an index, so queries that need the index fail."""
    for index, state in sorted(project.indexes.value.items()):
        if state == REPAIR:
            yield f"The index {index} could not be built."


@check("If nothing else needs the index: firebase deploy --only firestore:indexes --project {project} --force")
def index_surplus(project: ProjectFacts) -> Iterator[str]:
    """The database has an index that no query of this release uses, and every write pays for the index."""
    for index in sorted(project.indexes.value.keys() - project.needs.indexes):
        yield f"The index {index} is used by no query of this release."


@check("firebase deploy --only firestore:indexes --project {project}")
def field_indexes_differ(project: ProjectFacts) -> Iterator[str]:
    """The indexes or the time to live of a field are not as in firestore.indexes.json."""
    found, needs = project.single_fields.value, project.needs.single_fields
    for name in sorted(found.keys() | needs.keys()):
        is_, wanted = (fields.get(name, "the usual indexes") for fields in (found, needs))
        if is_ != wanted:
            yield f"The field {name} has {is_}; this release needs {wanted}."


@check("firebase deploy --only firestore:rules --project {project}")
def rules_missing(project: ProjectFacts) -> Iterator[str]:
    """No rules are released for Firestore."""
    if project.database.value is not None and project.rules.value is None:
        yield "No rules are released for Firestore, so no app may read anything."


@check("firebase deploy --only firestore:rules --project {project}, after a look at who changed the rules.")
def rules_differ(project: ProjectFacts) -> Iterator[str]:
    """The released rules are not those of this repository, so others may be able to read or write."""
    rules = project.rules.value
    if rules is not None and _plain(rules) != _plain(project.needs.rules):
        yield "The released rules of Firestore differ from firestore.rules."


@check(DEPLOY + ", whose step `bucket` creates the bucket.")
def bucket_missing(project: ProjectFacts) -> Iterator[str]:
    """The bucket of users' files does not exist, so pictures cannot be stored."""
    if project.bucket.value is None:
        yield f"The bucket {project.settings.value.images_bucket} does not exist."


@check("gcloud storage buckets remove-iam-policy-binding gs://BUCKET --member=MEMBER --role=ROLE")
def bucket_public(project: ProjectFacts) -> Iterator[str]:
    """Everybody may read users' files."""
    for bucket in _bucket(project):
        for member in sorted(bucket.members & EVERYBODY):
            yield f"The bucket {project.settings.value.images_bucket} is open to {member}."


@check("gcloud storage buckets update gs://BUCKET --uniform-bucket-level-access")
def bucket_not_uniform(project: ProjectFacts) -> Iterator[str]:
    """Single files of the bucket may have rights of their own, which nobody oversees."""
    for bucket in _bucket(project):
        if not bucket.is_uniform:
            yield f"The bucket {project.settings.value.images_bucket} has no uniform access."


@check("gcloud storage buckets update gs://BUCKET --public-access-prevention")
def bucket_may_become_public(project: ProjectFacts) -> Iterator[str]:
    """Public access to users' files is not prevented."""
    for bucket in _bucket(project):
        if not bucket.is_private:
            yield f"Public access to the bucket {project.settings.value.images_bucket} is not prevented."


@check("Make a bucket in the functions' region, and name that bucket in `IMAGES_BUCKET`.")
def bucket_elsewhere(project: ProjectFacts) -> Iterator[str]:
    """The bucket is far from the functions, so every picture travels twice around the world."""
    for bucket in _bucket(project):
        if not is_near(bucket.location.lower(), region_of(project)):
            yield f"The bucket is in {bucket.location.lower()}, and the functions are in {region_of(project)}."


def is_near(location: str, region: str) -> bool:
    """Return True if data at this location is in the region, or spread over the region's continent."""
    return location == region or region.startswith(MULTI_REGIONS.get(location, "-"))


def _database(project: ProjectFacts) -> list[Database]:
    return [] if project.database.value is None else [project.database.value]


def _bucket(project: ProjectFacts) -> list[Bucket]:
    return [] if project.bucket.value is None else [project.bucket.value]


def _plain(rules: str) -> str:
    return "\n".join(line.rstrip() for line in rules.strip().splitlines())


CHECKS = (
    database_missing,
    database_of_other_kind,
    database_without_recovery,
    database_deletable,
    backup_missing,
    backup_short,
    database_elsewhere,
    index_missing,
    index_not_ready,
    index_broken,
    index_surplus,
    field_indexes_differ,
    rules_missing,
    rules_differ,
    bucket_missing,
    bucket_public,
    bucket_not_uniform,
    bucket_may_become_public,
    bucket_elsewhere,
)
