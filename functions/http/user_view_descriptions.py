"""Descriptions of the fields of operators' views of a user for the OpenAPI document, by schema and name."""

from collections.abc import Mapping

BY_SCHEMA: Mapping[str, str] = {
    "SignInsOut.created_at": "The time of the sign-up.",
    "SignInsOut.providers": "How the user signs in, such as `password` or `google.com`.",
    "SignInsOut.signed_in_at": "The time of the last sign-in.",
    "SignInsOut.tokens_valid_after": "Refresh tokens from before this time do not count any more.",
}
