"""Billing: whether a project is paid for, and budgets of its billing account."""

import itertools

from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import invalid, not_found
from emulator.stand_ins.wire import Json, copied

ACCOUNT = "billingAccounts/0A1B2C-3D4E5F-6A7B8C"
CURRENCY = "USD"
_numbers = itertools.count(1)


@serves("cloudbilling.v1 projects.getBillingInfo", needs="resourcemanager.projects.get")
def get_info(call: Call) -> Json:
    name = f"projects/{call.project.id}/billingInfo"
    if not call.project.is_billed:
        return {"name": name, "projectId": call.project.id}
    return {"name": name, "projectId": call.project.id, "billingAccountName": ACCOUNT, "billingEnabled": True}


@serves("cloudbilling.v1 billingAccounts.get", needs="billing.accounts.get")
def get_account(call: Call) -> Json:
    _require_account(call)
    return {"name": ACCOUNT, "open": True, "displayName": "Main", "currencyCode": CURRENCY}


def _check(budget: Json) -> None:
    amount = budget.get("amount") or {}
    if len({"specifiedAmount", "lastPeriodAmount"} & amount.keys()) != 1:
        raise invalid("Budget amount must be specified.", field="budget.amount")
    currency = (amount.get("specifiedAmount") or {}).get("currencyCode") or CURRENCY
    if currency != CURRENCY:
        raise invalid(f"The currency {currency} is not that of the billing account, {CURRENCY}.", field="budget.amount")


def _require_account(call: Call) -> None:
    if f"billingAccounts/{call.places['billingAccountsId']}" != ACCOUNT:
        raise not_found()


@serves("billingbudgets.v1 billingAccounts.budgets.create", needs="billing.budgets.create")
def create_budget(call: Call) -> Json:
    _require_account(call)
    _check(call.body)
    name = f"{ACCOUNT}/budgets/00000000-0000-4000-a000-{next(_numbers):012d}"
    call.state.budgets[name] = copied({**call.body, "name": name, "etag": "1"})
    return copied(call.state.budgets[name])


@serves("billingbudgets.v1 billingAccounts.budgets.list", needs="billing.budgets.list")
def list_budgets(call: Call) -> Json:
    _require_account(call)
    return call.page("budgets", call.state.budgets.values())


def _find(call: Call) -> Json:
    _require_account(call)
    name = f"{ACCOUNT}/budgets/{call.places['budgetsId']}"
    if name not in call.state.budgets:
        raise not_found()
    return call.state.budgets[name]


@serves("billingbudgets.v1 billingAccounts.budgets.get", needs="billing.budgets.get")
def get_budget(call: Call) -> Json:
    return copied(_find(call))


@serves("billingbudgets.v1 billingAccounts.budgets.patch", needs="billing.budgets.update")
def patch_budget(call: Call) -> Json:
    have = _find(call)
    wanted = call.patched(copied(have))
    _check(wanted)
    have.update(wanted, name=have["name"], etag=str(int(have["etag"]) + 1))
    return copied(have)


@serves("billingbudgets.v1 billingAccounts.budgets.delete", needs="billing.budgets.delete")
def delete_budget(call: Call) -> Json:
    call.state.budgets.pop(str(_find(call)["name"]))
    return {}
