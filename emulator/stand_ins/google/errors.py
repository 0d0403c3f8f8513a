"""Refusals in Google's words: `google.rpc.Status` as JSON, with an `ErrorInfo` where Google gives one."""

from typing import Any

from emulator.stand_ins.stand_in import Refused
from emulator.stand_ins.wire import Answer, Json, json_answer

STATUSES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
}
CODES = {
    "INVALID_ARGUMENT": 3,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "UNAUTHENTICATED": 16,
}
OFTEN = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}
SENTENCES = {
    401: "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential.",
    403: "The caller does not have permission",
    404: "Requested entity was not found.",
    409: "The operation was aborted.",
    429: "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute' of service.",
    500: "Internal error encountered.",
    503: "The service is currently unavailable.",
}


class GoogleRefusal(Refused):
    """Refusal with the canonical name of its status, e.g. NOT_FOUND."""

    def __init__(self, status: str, message: str, *, details: tuple[Json, ...] = ()) -> None:
        super().__init__(message)
        self.status, self.message, self.details = status, message, details

    @property
    def http_status(self) -> int:
        return STATUSES[self.status]

    def as_status(self) -> Json:
        """Return the refusal in the form of a failed operation: `google.rpc.Status`."""
        return {"code": CODES[self.status], "message": self.message, **self._details()}

    def as_answer(self) -> Answer:
        error: Json = {"code": self.http_status, "message": self.message, "status": self.status, **self._details()}
        if self.details and "fieldViolations" not in self.details[0]:
            error["errors"] = [{"message": self.message, "domain": "global", "reason": self.reason}]
        return json_answer({"error": error}, status=self.http_status)

    @property
    def reason(self) -> str:
        return next((str(each["reason"]) for each in self.details if "reason" in each), "")

    def _details(self) -> dict[str, Any]:
        return {"details": list(self.details)} if self.details else {}


def error_info(reason: str, domain: str, **metadata: str) -> Json:
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": domain,
        "metadata": metadata,
    }


def invalid(message: str, *, field: str = "") -> GoogleRefusal:
    """Return a 400. With `field`, the refusal also names the field as `google.rpc.BadRequest` does."""
    violation = {"field": field, "description": message}
    bad = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
    return GoogleRefusal("INVALID_ARGUMENT", message, details=(bad,) if field else ())


def not_found(message: str = SENTENCES[404]) -> GoogleRefusal:
    return GoogleRefusal("NOT_FOUND", message)


def already_exists(message: str) -> GoogleRefusal:
    return GoogleRefusal("ALREADY_EXISTS", message)


def failed_precondition(message: str) -> GoogleRefusal:
    return GoogleRefusal("FAILED_PRECONDITION", message)


def denied(permission: str, resource: str) -> GoogleRefusal:
    """Return Google's words for a caller whose roles lack this permission."""
    return GoogleRefusal(
        "PERMISSION_DENIED",
        f"Permission '{permission}' denied on resource '//{resource}' (or it may not exist).",
        details=(error_info("IAM_PERMISSION_DENIED", "iam.googleapis.com", permission=permission, resource=resource),),
    )


def service_disabled(host: str, title: str, number: str) -> GoogleRefusal:
    """Return Google's words for a call to an API that is off, or was switched on a moment ago."""
    url = f"https://console.developers.google.com/apis/api/{host}/overview?project={number}"
    message = (
        f"{title} has not been used in project {number} before or it is disabled. Enable it by visiting {url} then "
        "retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and "
        "retry."
    )
    metadata = {
        "consumer": f"projects/{number}",
        "service": host,
        "serviceTitle": title,
        "activationUrl": url,
        "containerInfo": number,
    }
    return GoogleRefusal(
        "PERMISSION_DENIED", message, details=(error_info("SERVICE_DISABLED", "googleapis.com", **metadata),)
    )


def by_http_status(status: int) -> GoogleRefusal:
    """Return an ordinary refusal with this HTTP status."""
    return GoogleRefusal(OFTEN.get(status, "INTERNAL"), SENTENCES.get(status, SENTENCES[500]))
