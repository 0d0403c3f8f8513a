"""IAM: service accounts of a project."""

import re

from emulator.stand_ins.google.calls import Call, serve_policy, serves
from emulator.stand_ins.google.errors import already_exists, invalid, not_found
from emulator.stand_ins.google.policies import Policy
from emulator.stand_ins.google.roles import ROLES
from emulator.stand_ins.google.state import add_account
from emulator.stand_ins.wire import Json, copied

ACCOUNT_ID = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])")
ACCOUNT_ID_LENGTHS = range(6, 31)


def _find(call: Call) -> Json:
    name = call.resource.replace("projects/-/", f"projects/{call.project.id}/")
    if name not in call.table("ServiceAccount"):
        raise not_found(f"Unknown service account: {name}")
    return call.table("ServiceAccount")[name]


@serves("iam.v1 projects.serviceAccounts.create", needs="iam.serviceAccounts.create")
def create_account(call: Call) -> Json:
    account_id = str(call.body.get("accountId", ""))
    if not ACCOUNT_ID.fullmatch(account_id) or len(account_id) not in ACCOUNT_ID_LENGTHS:
        raise invalid(
            f'Account ID "{account_id}" does not have a length between 6 and 30 characters or has other characters '
            "than lower case letters, digits and dashes.",
            field="account_id",
        )
    email = f"{account_id}@{call.project.id}.iam.gserviceaccount.com"
    if call.project.has_account(email):
        raise already_exists(f"Service account {account_id} already exists within project projects/{call.project.id}.")
    given = call.body.get("serviceAccount") or {}
    fields = {name: str(given[name]) for name in ("displayName", "description") if name in given}
    return add_account(call.project, email, **fields)


@serves("iam.v1 projects.serviceAccounts.get", needs="iam.serviceAccounts.get")
def get_account(call: Call) -> Json:
    return copied(_find(call))


@serves("iam.v1 projects.serviceAccounts.list", needs="iam.serviceAccounts.list")
def list_accounts(call: Call) -> Json:
    return call.page("accounts", call.table("ServiceAccount").values(), size=20)


@serves("iam.v1 projects.serviceAccounts.delete", needs="iam.serviceAccounts.delete")
def delete_account(call: Call) -> Json:
    call.table("ServiceAccount").remove(str(_find(call)["name"]))
    return {}


def _policy(call: Call) -> Policy:
    return call.project.policy_of(str(_find(call)["name"]))


serve_policy("iam.v1 projects.serviceAccounts", "iam.serviceAccounts", _policy)


@serves("iam.v1 roles.get")
def get_role(call: Call) -> Json:
    name = f"roles/{call.places['rolesId']}"
    if name not in ROLES:
        raise not_found(f"The role named {name} was not found.")
    return {"name": name, "title": name.partition("/")[2], "stage": "GA"}
