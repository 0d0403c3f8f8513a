"""Artifact Registry: the repository of built functions, and how long images are kept there."""

from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import already_exists, not_found
from emulator.stand_ins.google.state import now_text
from emulator.stand_ins.wire import Json, copied

OF_FUNCTIONS = "gcf-artifacts"
KIND = "google.devtools.artifactregistry.v1"


def _find(call: Call) -> Json:
    """Return the repository. That of functions exists in a region as soon as one function does."""
    name = call.resource
    region = name.rpartition("/repositories/")[0]
    if name.endswith(f"/{OF_FUNCTIONS}") and call.table("Function").under(f"{region}/functions"):
        call.table("Repository").setdefault(name, {"name": name, "format": "DOCKER", "createTime": now_text()})
    if name not in call.table("Repository"):
        raise not_found(f"Repository {name} not found")
    return call.table("Repository")[name]


@serves("artifactregistry.v1 projects.locations.repositories.get", needs="artifactregistry.repositories.get")
def get_repository(call: Call) -> Json:
    return copied(_find(call))


@serves("artifactregistry.v1 projects.locations.repositories.patch", needs="artifactregistry.repositories.update")
def patch_repository(call: Call) -> Json:
    return copied(call.patched(_find(call)))


@serves("artifactregistry.v1 projects.locations.repositories.create", needs="artifactregistry.repositories.create")
def create_repository(call: Call) -> Json:
    name = f"{call.resource}/{call.query.get('repositoryId', '')}"
    if name in call.table("Repository"):
        raise already_exists("the repository already exists")

    def act() -> Json:
        made = {**call.body, "createTime": now_text()}
        return {"@type": f"type.googleapis.com/{KIND}.Repository", **call.table("Repository").add(name, made)}

    return call.begin(call.resource.rpartition("/")[0], f"{KIND}.OperationMetadata", act)


@serves("artifactregistry.v1 projects.locations.operations.get")
def get_operation(call: Call) -> Json:
    return call.project.operations.poll(call.resource)
