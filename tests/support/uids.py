"""Uids as other identity providers make them, and those that Firestore cannot name a document by."""

SUPPORTED = (
    "kakao:123",
    "did:privy:cm1",
    "zoe+1@example.com",
    "auth0|5f7c",
    "google-oauth2|1143",
    "line user 7",
    " padded ",
    "用户一",
    "Ünï",
    "u\u0308n\u00fc",
    "🦊",
    "a%2Fb",
    "a%b?c#d&e=f",
    "<b>'\"\\{}[]*",
    "line\nbreak",
    "\u2028",
    "...",
    "__x",
    "x__",
    "key:abc",
    "漢" * 128,
    "x" * 128,
)
UNSUPPORTED = ("a/b", "/", ".", "..", "__x__", "____", "__a\nb__")
"""What Firebase Auth takes as a uid and Firestore does not take as a document's id."""
