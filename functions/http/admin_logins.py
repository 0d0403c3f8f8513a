"""`/v1/admin/users/{uid}/sign-out`, `…/disable` and `…/enable`: acts of admins on a user's login."""

from typing import Any

from functions.http.admin import UserOut
from functions.http.fields import Request, Text
from functions.http.routes import ACT, Call, Routes
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid
from shared.users.audit import REASON_MAX
from shared.users.operator_acts import OwnAccount
from shared.users.ports import UserNotFound

routes = Routes("admin_logins")


class LoginReasonIn(Request):
    """Reason of the act, for operators."""

    reason = Text(length_min=1, length_max=REASON_MAX, required=True)


@routes.post(
    "/admin/users/{uid}/sign-out",
    status=200,
    access=ACT,
    body=LoginReasonIn,
    answer=UserOut,
    errors=(UserNotFound, InvalidValue),
)
def sign_out(call: Call) -> Any:
    """Sign a user out everywhere. Tokens end within an hour, those of operators at once; API keys stay."""
    uid = Uid(call.path["uid"])
    call.services.login_acts.sign_out(call.principal, uid, call.body["reason"])
    return call.services.operators.user(uid)


@routes.post(
    "/admin/users/{uid}/disable",
    status=200,
    access=ACT,
    body=LoginReasonIn,
    answer=UserOut,
    errors=(UserNotFound, OwnAccount, InvalidValue),
)
def disable(call: Call) -> Any:
    """Lock another user's login. Calls of the user and of their API keys are refused within seconds."""
    uid = Uid(call.path["uid"])
    call.services.login_acts.disable(call.principal, uid, call.body["reason"])
    return call.services.operators.user(uid)


@routes.post(
    "/admin/users/{uid}/enable",
    status=200,
    access=ACT,
    body=LoginReasonIn,
    answer=UserOut,
    errors=(UserNotFound, OwnAccount, InvalidValue),
)
def enable(call: Call) -> Any:
    """Unlock another user's login. The user signs in again, and API keys work again."""
    uid = Uid(call.path["uid"])
    call.services.login_acts.enable(call.principal, uid, call.body["reason"])
    return call.services.operators.user(uid)
