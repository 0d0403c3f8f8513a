"""`/v1/admin`: the views and acts of operators. Every act is recorded before the act happens."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields

from functions.http.credits import BalanceOut, Posted
from functions.http.fields import (
    Answer,
    Choice,
    Credits,
    Cursor,
    Flag,
    Items,
    Limit,
    Moment,
    NextCursor,
    ReadOnly,
    Request,
    SignedAmount,
    Table,
    Text,
    Time,
    Whole,
    page_answer,
)
from functions.http.routes import ACT, READ_AUDIT, READ_USERS, Call, Reply, Routes, require_own_id
from shared.ai.models.catalogue import CAPABILITIES_MAX, NAME_CHARACTERS_MAX, RANK_MAX, TOKENS_MAX, ModelNotFound
from shared.ai.models.image_tokens import NUMBER_MAX
from shared.ai.models.prices import QUALITIES_MAX, QUALITY_CHARACTERS_MAX, SIZES_MAX, TIERS_MAX
from shared.kernel.documents import Data
from shared.kernel.errors import InvalidValue
from shared.kernel.expected import VersionChanged, tag_of
from shared.kernel.ids import Uid
from shared.ledger.errors import AccountFrozen, InsufficientCredits, LimitReached
from shared.sagas.accounts.operators import OwnRole
from shared.users.audit import REASON_MAX, AuditFilter
from shared.users.operator_acts import OwnAccount
from shared.users.ports import UserNotFound
from shared.users.roles import ROLES

PRICE_PATTERN = r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,18})?$"

MODEL_NOT_STORED = frozenset({"reason", "id", "price_version", "etag"})

TARGET_CHARS_MAX = 320

routes = Routes("admin")


def told(text: str) -> dict[str, str]:
    """Return the metadata of a field with this description."""
    return {"description": text}


class UserOut(Answer):
    """A user as operators see them."""

    uid = fields.String(required=True)
    email = fields.String(required=True, allow_none=True)
    display_name = fields.String(required=True, allow_none=True)
    roles = fields.Function(
        lambda user: sorted(user.roles), required=True, metadata={"type": "array", "items": {"type": "string"}}
    )
    disabled = fields.Boolean(required=True, attribute="is_disabled")
    status = Choice("open", "frozen", "closed", required=True)
    created_at = Time(required=True, allow_none=True)
    balance = fields.Nested(BalanceOut, required=True)


class RolesIn(Request):
    """Complete list of the user's new roles."""

    roles = Items(Choice(*sorted(ROLES)), required=True, length_max=len(ROLES))
    reason = Text(length_max=REASON_MAX, load_default=None)


class NoteToUser(Text):
    """Text for the user beside the entry of an act. The act's `reason` is for operators alone."""

    def __init__(self) -> None:
        metadata = {"description": "What the user reads beside the entry; `reason` is what operators read."}
        super().__init__(length_max=REASON_MAX, load_default="", metadata=metadata)


class AdjustIn(Request):
    """Correction of a balance: the credits to add or take, the reason, and a note for the user."""

    amount = SignedAmount(required=True)
    reason = Text(length_min=1, length_max=REASON_MAX, required=True)
    note_to_user = NoteToUser()


class AdjustedOut(Answer):
    """Correction, and the balance after the correction."""

    amount = Credits(required=True)
    balance = fields.Nested(Posted, required=True)


class ReasonIn(Request):
    """Reason for operators, and a note for the user."""

    reason = Text(length_min=1, length_max=REASON_MAX, required=True)
    note_to_user = NoteToUser()


class UsdPrice(Text):
    """An exact price in USD as a decimal string."""

    def __init__(self, *, is_required: bool = False) -> None:
        told: dict[str, Any] = {"required": True} if is_required else {"load_default": None, "allow_none": True}
        super().__init__(length_max=28, metadata={"pattern": PRICE_PATTERN}, **told)


class ContextTierIn(Request):
    """The prices of all tokens of a call whose input is longer than `above_input_tokens`."""

    above_input_tokens = Whole(1, TOKENS_MAX, required=True)
    input_usd_per_mtok = UsdPrice(is_required=True)
    output_usd_per_mtok = UsdPrice()
    cached_input_usd_per_mtok = UsdPrice()
    cache_write_usd_per_mtok = UsdPrice()


class ModelIn(Request):
    """Complete model. The prices of the model's kind are required; unset fields take their defaults."""

    kind = Choice("chat", "image", "embedding", required=True)
    display_name = Text(length_min=1, length_max=NAME_CHARACTERS_MAX)
    input_usd_per_mtok = UsdPrice()
    output_usd_per_mtok = UsdPrice()
    image_usd = UsdPrice()
    image_usd_by_size = Table(keys=Text(length_max=16), values=UsdPrice(), length_max=SIZES_MAX)
    image_usd_by_quality = Table(
        keys=Text(length_max=QUALITY_CHARACTERS_MAX),
        values=Table(keys=Text(length_max=16), values=UsdPrice(), length_max=SIZES_MAX),
        length_max=QUALITIES_MAX,
        metadata={"description": "The price of each size by quality; what is not named cannot be asked for."},
    )
    cached_input_usd_per_mtok = UsdPrice()
    cache_write_usd_per_mtok = UsdPrice()
    request_usd = UsdPrice()
    context_tiers = Items(
        fields.Nested(ContextTierIn),
        length_max=TIERS_MAX,
        metadata={"description": "Prices of each call whose input is longer than `above_input_tokens`, ascending."},
    )
    context_window = Whole(0, TOKENS_MAX)
    max_output_tokens = Whole(0, TOKENS_MAX)
    expected_output_tokens = Whole(0, TOKENS_MAX)
    capabilities = Items(Text(length_min=1, length_max=NAME_CHARACTERS_MAX), length_max=CAPABILITIES_MAX)
    image_tokens = Table(
        keys=Text(length_max=16),
        values=Whole(0, NUMBER_MAX),
        length_max=2,
        metadata={
            "description": "What an image in a prompt takes, as numbers of one formula: `base` and `tile`, "
            "`patch_percent` and `patches`, `pixels_per_token` and `most`, `square`, or `tokens` and `tokens_most`. "
            "Without them the upstream's name of the model decides."
        },
    )
    is_enabled = Flag()
    upstream = Text(length_min=1, length_max=NAME_CHARACTERS_MAX)
    upstream_model = Text(length_min=1, length_max=NAME_CHARACTERS_MAX)
    quality = Whole(1, RANK_MAX)
    speed = Whole(1, RANK_MAX)
    reason = Text(length_max=REASON_MAX, load_default=None)
    id = ReadOnly()
    price_version = ReadOnly()
    etag = ReadOnly()


class ModelAdminOut(Answer):
    """Model as operators see it, also a broken or disabled model. Fields that were never set are absent."""

    id = fields.String(required=True)
    kind = fields.Raw()
    display_name = fields.Raw()
    input_usd_per_mtok = fields.Raw()
    output_usd_per_mtok = fields.Raw()
    image_usd = fields.Raw()
    image_usd_by_size = fields.Raw()
    image_usd_by_quality = fields.Raw()
    cached_input_usd_per_mtok = fields.Raw()
    cache_write_usd_per_mtok = fields.Raw()
    request_usd = fields.Raw()
    context_tiers = fields.Raw()
    context_window = fields.Raw()
    max_output_tokens = fields.Raw()
    expected_output_tokens = fields.Raw()
    capabilities = fields.Raw()
    image_tokens = fields.Raw()
    is_enabled = fields.Raw()
    upstream = fields.Raw()
    upstream_model = fields.Raw()
    quality = fields.Raw()
    speed = fields.Raw()
    price_version = fields.Raw()
    etag = fields.String(required=True, metadata={"description": "The name of this version, for `If-Match`."})


class ModelsAdminOut(Answer):
    """Models by id, also broken and disabled models."""

    items = fields.List(fields.Nested(ModelAdminOut), required=True)
    next_cursor = NextCursor()


class PriceVersionOut(Answer):
    """Version of a model's prices. `stored_at` is null for a version from before versions were kept."""

    price_version = fields.Integer(required=True)
    stored_at = Time(required=True, allow_none=True)
    input_usd_per_mtok = fields.Raw()
    output_usd_per_mtok = fields.Raw()
    cached_input_usd_per_mtok = fields.Raw()
    cache_write_usd_per_mtok = fields.Raw()
    image_usd = fields.Raw()
    image_usd_by_size = fields.Raw()
    image_usd_by_quality = fields.Raw()
    request_usd = fields.Raw()
    context_tiers = fields.Raw()


class PriceVersionsOut(Answer):
    """Versions of a model's prices, the newest first."""

    items = fields.List(fields.Nested(PriceVersionOut), required=True)
    next_cursor = NextCursor()


class RecordOut(Answer):
    """Record of an operator's act."""

    id = fields.String(required=True)
    at = Time(required=True)
    actor = fields.String(required=True)
    act = fields.String(required=True)
    target = fields.String(required=True)
    reason = fields.String(required=True, allow_none=True)
    state = Choice("begun", "done", "refused", required=True)
    before = fields.Dict(required=True, allow_none=True)
    after = fields.Dict(required=True, allow_none=True)
    code = fields.String(required=True, allow_none=True)
    operation = fields.String(required=True, allow_none=True)
    completed_at = Time(required=True, allow_none=True)


class Audit(Answer):
    """A page of the audit trail, newest first."""

    items = fields.List(fields.Nested(RecordOut), required=True)
    next_cursor = NextCursor()


class AuditQuery(Request):
    """Filter and page of the audit trail; all conditions hold at once. `from` is inclusive, `to` is exclusive."""

    limit = Limit()
    cursor = Cursor(str)
    actor = Text(
        length_min=1, length_max=TARGET_CHARS_MAX, load_default=None, metadata=told("The uid of the operator.")
    )
    act = Text(length_min=1, length_max=TARGET_CHARS_MAX, load_default=None, metadata=told("The act, such as `look`."))
    target = Text(
        length_min=1,
        length_max=TARGET_CHARS_MAX,
        load_default=None,
        metadata=told("The id of the user, model, payment or alert."),
    )
    first = Moment(data_key="from")
    last = Moment(data_key="to")


@routes.get("/admin/users/{uid}", access=READ_USERS, answer=UserOut, errors=(UserNotFound,))
def user(call: Call) -> Any:
    """Show one user, also a user who has left."""
    return call.services.operators.user(Uid(call.path["uid"]))


@routes.put(
    "/admin/users/{uid}/roles",
    access=ACT,
    body=RolesIn,
    answer=UserOut,
    errors=(UserNotFound, OwnRole, InvalidValue),
)
def set_roles(call: Call) -> Any:
    """Replace another user's roles. The new roles count once that user's token is refreshed."""
    roles, reason = frozenset(call.body["roles"]), call.body["reason"]
    return call.services.operators.set_roles(call.principal, Uid(call.path["uid"]), roles, reason)


@routes.post(
    "/admin/users/{uid}/credits",
    access=ACT,
    body=AdjustIn,
    answer=AdjustedOut,
    errors=(UserNotFound, OwnAccount, InsufficientCredits, AccountFrozen, LimitReached, InvalidValue),
)
def adjust(call: Call) -> Any:
    """Correct a balance: add credits or, with a minus, take credits away. An admin's own credits need another admin."""
    amount, reason, uid = call.body["amount"], call.body["reason"], Uid(call.path["uid"])
    note, operation = call.body["note_to_user"], call.asked.operation
    done = call.services.operators.adjust(call.principal, uid, amount, reason, operation, note_to_user=note)
    return {"amount": done.amount, "balance": done.after}


@routes.post(
    "/admin/users/{uid}/freeze",
    status=200,
    access=ACT,
    body=ReasonIn,
    answer=UserOut,
    errors=(UserNotFound, InvalidValue),
)
def freeze(call: Call) -> Any:
    """Stop a user's spending."""
    reason, note = call.body["reason"], call.body["note_to_user"]
    return call.services.operators.freeze(call.principal, Uid(call.path["uid"]), reason, note_to_user=note)


@routes.post(
    "/admin/users/{uid}/unfreeze",
    status=200,
    access=ACT,
    body=ReasonIn,
    answer=UserOut,
    errors=(UserNotFound, OwnAccount, InvalidValue),
)
def unfreeze(call: Call) -> Any:
    """Let another user spend again."""
    reason, note = call.body["reason"], call.body["note_to_user"]
    return call.services.operators.unfreeze(call.principal, Uid(call.path["uid"]), reason, note_to_user=note)


@routes.get("/admin/models", access=READ_USERS, answer=ModelsAdminOut)
def models(call: Call) -> Any:
    """List all models with their prices in dollars and their upstreams, also broken and disabled models."""
    stored = call.services.models.catalogue.stored()
    return page_answer([_model_out(name, data) for name, data in sorted(stored.items())])


@routes.get("/admin/models/{id}", access=READ_USERS, answer=ModelAdminOut, errors=(ModelNotFound,), is_versioned=True)
def model(call: Call) -> Any:
    """Show one model, also a broken or a disabled model."""
    found = call.services.models.catalogue.read(call.path["id"])
    if found is None:
        raise ModelNotFound(call.path["id"])
    return _versioned_model(call.path["id"], found)


@routes.get("/admin/models/{id}/prices", access=READ_USERS, answer=PriceVersionsOut, errors=(InvalidValue,))
def prices(call: Call) -> Any:
    """List all versions of a model's prices, the newest first. Versions are kept for ever."""
    return page_answer(call.services.models.catalogue.versions(call.path["id"]))


@routes.put(
    "/admin/models/{id}",
    access=ACT,
    body=ModelIn,
    answer=ModelAdminOut,
    errors=(InvalidValue, VersionChanged),
    is_versioned=True,
)
def put_model(call: Call) -> Any:
    """Create or replace a model. A changed price is a new `price_version`.

    The answer of GET may be sent back unchanged. With `If-Match`, only that version is replaced.
    """
    require_own_id(call)
    wanted = {name: value for name, value in call.body.items() if name not in MODEL_NOT_STORED and value is not None}
    stored = call.services.operators.put_model(
        call.principal, call.path["id"], wanted, call.body["reason"], call.expected
    )
    return _versioned_model(call.path["id"], stored)


@routes.get("/admin/audit", access=READ_AUDIT, query=AuditQuery, answer=Audit, errors=(InvalidValue,))
def audit(call: Call) -> Any:
    """List the operators' acts and looks, newest first. A page by time may be short and have a next page."""
    wanted = AuditFilter(**{name: call.query[name] for name in ("actor", "act", "target", "first", "last")})
    page = call.services.operators.audit(call.query["cursor"], call.query["limit"], wanted)
    return page_answer(page.items, page.next_cursor)


def _model_out(model_id: str, stored: Data) -> Mapping[str, Any]:
    told = {name: value for name, value in stored.items() if value is not None}
    return {**told, "id": model_id, "etag": tag_of(stored)}


def _versioned_model(model_id: str, stored: Data) -> Reply:
    return Reply(value=_model_out(model_id, stored), tag=tag_of(stored))
