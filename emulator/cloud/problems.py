"""Errors of a real project. Each message is a sentence, and says the change that removes the cause."""


class CloudProblem(Exception):
    """Error about a Google project or its settings. The message says the change that the operator must make."""


class GoogleFailed(CloudProblem):
    """Base of the errors of a call to Google."""


class GoogleRefused(GoogleFailed):
    """Error for an answer of Google that is no success: its HTTP status, its reason as one word, and its message.

    `reason` is Google's most exact word, such as `SERVICE_DISABLED`, `NOT_FOUND` or `PERMISSION_DENIED`.
    """

    def __init__(self, status: int, reason: str, message: str, asked: str = "") -> None:
        super().__init__(f"Google answered {status} {reason}{f' to {asked}' if asked else ''}: {message}")
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def is_missing(self) -> bool:
        return self.status == 404  # noqa: PLR2004  # the status itself

    @property
    def is_there_already(self) -> bool:
        return self.status == 409 and self.reason in ALREADY_THERE  # noqa: PLR2004  # the status itself

    @property
    def is_api_off(self) -> bool:
        return self.reason in {"SERVICE_DISABLED", "accessNotConfigured"}


ALREADY_THERE = frozenset({"ALREADY_EXISTS", "conflict", "alreadyExists", "CONFLICT", "ALREADY_OWNED_BY_YOU"})
"""Google's words for a name that is taken, by API."""


class GoogleSilent(GoogleFailed):
    """Error for a call to Google that was not answered, or answered with text that is no JSON."""


class OperationFailed(GoogleFailed):
    """Error for a long operation at Google that ended with an error or did not end in time."""


class NoCredentials(GoogleFailed):
    """Error for a machine without Google credentials."""

    def __init__(self) -> None:
        super().__init__(
            "No Google credentials were found: run `gcloud auth application-default login`, "
            "or name a service account's key file in GOOGLE_APPLICATION_CREDENTIALS."
        )
