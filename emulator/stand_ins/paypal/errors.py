"""PayPal's errors: a status and `{name, message, debug_id, details: [{issue, description}]}`."""

import secrets

from emulator.stand_ins.stand_in import Refused
from emulator.stand_ins.wire import Answer, Json, json_answer

MESSAGES = {
    "INVALID_REQUEST": (400, "Request is not well-formed, syntactically incorrect, or violates schema."),
    "NOT_AUTHORIZED": (403, "Authorization failed due to insufficient permissions."),
    "RESULTSET_TOO_LARGE": (
        400,
        "Result set size is greater than the maximum limit. Change the filter criteria and try again.",
    ),
    "RESOURCE_NOT_FOUND": (404, "The specified resource does not exist."),
    "RESOURCE_CONFLICT": (409, "The server has detected a conflict while processing this request."),
    "UNSUPPORTED_MEDIA_TYPE": (415, "The server does not support the request payload's media type."),
    "UNPROCESSABLE_ENTITY": (
        422,
        "The requested action could not be performed, semantically incorrect, or failed business validation.",
    ),
    "RATE_LIMIT_REACHED": (429, "Too many requests. Blocked due to rate limiting."),
    "INTERNAL_SERVER_ERROR": (500, "An internal server error has occurred."),
    "SERVICE_UNAVAILABLE": (503, "Service Unavailable."),
}
ISSUES = {
    "CANNOT_BE_ZERO_OR_NEGATIVE": "Must be greater than zero.",
    "CAPTURE_FULLY_REFUNDED": "The capture has already been fully refunded",
    "DECIMAL_PRECISION": "If the currency supports decimals, only two decimal place precision is supported.",
    "DUPLICATE_INVOICE_ID": (
        "Duplicate Invoice ID detected. To avoid a potential duplicate transaction your account setting requires that "
        "Invoice Id be unique for each transaction."
    ),
    "DUPLICATE_REQUEST_ID": (
        "The value of `PayPal-Request-Id` header has already been used. Please specify a different value and try the "
        "request again."
    ),
    "INSTRUMENT_DECLINED": (
        "The instrument presented  was either declined by the processor or bank, or it can't be used for this payment."
    ),
    "INVALID_CURRENCY_CODE": "Currency code is invalid or is not currently supported.",
    "INVALID_PARAMETER_SYNTAX": "The value of a field does not conform to the expected format.",
    "INVALID_PARAMETER_VALUE": "The value of a field is invalid.",
    "INVALID_RESOURCE_ID": "Specified resource ID does not exist. Please check the resource ID and try again.",
    "INVALID_STRING_LENGTH": "The value of a field is either too short or too long",
    "MALFORMED_REQUEST_JSON": "The request JSON is not well formed.",
    "MISSING_REQUIRED_PARAMETER": "A required field or parameter is missing.",
    "ORDER_ALREADY_CAPTURED": "Order already captured.If 'intent=CAPTURE' only one capture per order is allowed.",
    "ORDER_NOT_APPROVED": (
        "Payer has not yet approved the Order for payment. Please redirect the payer to the 'rel':'approve' url "
        "returned as part of the HATEOAS links within the Create Order call or provide a valid `payment_source` in the "
        "request."
    ),
    "PENDING_CAPTURE": "Cannot initiate a refund as the capture is pending.",
    "PREVIOUS_REQUEST_IN_PROGRESS": (
        "A previous request on this resource is currently in progress. Please wait for sometime and try again."
    ),
    "REFUND_AMOUNT_EXCEEDED": (
        "The refund amount must be less than or equal to the capture amount that has not yet been refunded."
    ),
    "REFUND_CAPTURE_CURRENCY_MISMATCH": "Refund must be in the same currency as the capture",
    "REFUND_NOT_ALLOWED": "Capture cannot be refunded.",
    "REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK": (
        "Refunds are not allowed on this capture due to a chargeback on the card or bank. Please contact the payee to "
        "resolve the chargeback."
    ),
    "TRANSACTION_DISPUTED": (
        "Partial refunds cannot be offered at this time because there is an open case on this transaction. Visit the "
        "PayPal Resolution Center to review this case."
    ),
    "WEBHOOK_NUMBER_LIMIT_EXCEEDED": "The number of webhooks has exceeded the limit.",
    "WEBHOOK_URL_ALREADY_EXISTS": "Webhook URL already exists.",
}


def debug_id() -> str:
    return secrets.token_hex(7)[:13]


class PayPalError(Refused):
    """Refusal in PayPal's words."""

    def __init__(self, name: str, issue: str = "", *, field: str = "", links: list[Json] | None = None) -> None:
        super().__init__(issue or name)
        self.name = name
        self.issue = issue
        self.field = field
        self.links = links or []

    def answer(self) -> Answer:
        status, message = MESSAGES[self.name]
        number = debug_id()
        body: Json = {"name": self.name, "message": message, "debug_id": number}
        if self.issue:
            detail = {"issue": self.issue, "description": ISSUES[self.issue]}
            body["details"] = [{"field": self.field, "location": "body", **detail} if self.field else detail]
        body["links"] = self.links
        return json_answer(body, status=status, headers={"Paypal-Debug-Id": number})


def unprocessable(issue: str, *, field: str = "", links: list[Json] | None = None) -> PayPalError:
    return PayPalError("UNPROCESSABLE_ENTITY", issue, field=field, links=links)


def invalid(issue: str, field: str) -> PayPalError:
    return PayPalError("INVALID_REQUEST", issue, field=field)


def missing() -> PayPalError:
    return PayPalError("RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")


def refused_token(error: str, description: str) -> Answer:
    """Return OAuth's form of a 401."""
    headers = {"Paypal-Debug-Id": debug_id(), "WWW-Authenticate": "Bearer"}
    return json_answer({"error": error, "error_description": description}, status=401, headers=headers)
