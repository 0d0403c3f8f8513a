"""Smoke test: somebody signs up, gets credits, is answered, has a sound ledger, and leaves."""

import io
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from secrets import token_hex

import orjson

from emulator.cloud.deployed import deployed_functions, deployment_digest
from emulator.cloud.people import OPERATOR, USER, Person, api_of, signed_in
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Change, Project
from emulator.cloud.served import await_api
from emulator.cloud.steps.bucket import API as BUCKETS
from emulator.cloud.steps.bucket import bucket_of
from shared.ledger.keys import PublicKey, Verifier
from shared.ledger.verify.exports import verify_account

LABEL = "smoke-tested"
"""Label of the bucket: the deployment whose smoke test passed. So the state stands at Google and not in a file."""
CREDITS = "10"
QUESTION = "Answer with the single word: ready"
SUCCESS = 200


def look(project: Project) -> Sequence[Change]:
    digest = deployment_digest(deployed_functions(project.google))
    bucket = project.google.find(f"{BUCKETS}/{bucket_of(project)}")
    if bucket is not None and (bucket.get("labels") or {}).get(LABEL) == digest:
        return []
    says = "sign up a user, grant 10 credits, ask a model for one answer, verify the ledger, and delete the user"
    return [Change(says=says, do=partial(_run, project, digest))]


def _run(project: Project, digest: str) -> None:
    release = await_api(project)
    with signed_in(project, OPERATOR) as operator, signed_in(project, USER) as user:
        user.call("GET", "/v1/me")
        try:
            _walk(project, operator, user, release)
        except CloudProblem:
            with suppress(CloudProblem):  # the first error says what is wrong
                user.call("DELETE", "/v1/me")
            raise
        user.call("DELETE", "/v1/me")
    project.google.patch(f"{BUCKETS}/{bucket_of(project)}", {"labels": {LABEL: digest}})


def _walk(project: Project, operator: Person, user: Person, release: str) -> None:
    reason = {"amount": CREDITS, "reason": f"smoke test of {release}"}
    operator.call("POST", f"/v1/admin/users/{user.uid}/credits", reason, key=f"smoke-{token_hex(8)}")
    answered = user.call("POST", "/v1/chat/conversations", {"message": QUESTION}, key=f"smoke-{token_hex(8)}")
    if not (answered.get("message") or {}).get("content"):
        raise CloudProblem("The model answered nothing: check AI_PLATFORM_BASE_URL, the model's name and its key.")
    project.terminal.say(f"     {answered['message']['model']} answered, for {answered['cost']} credits")
    _verify(project, user)


def _verify(project: Project, user: Person) -> None:
    """Raise CloudProblem if the exported ledger of the user breaks a law by the published keys."""
    status, export = project.web.text("GET", f"{api_of(project)}/v1/credits/export", user.headers)
    keys = user.call("GET", "/v1/ledger/keys")["items"]
    verifier = Verifier(tuple(PublicKey.from_json(each) for each in keys))
    lines = io.StringIO(export).readlines()
    findings = verify_account(lines, verifier)
    if status != SUCCESS or findings or not any(orjson.loads(line).get("type") == "entry" for line in lines):
        told = findings[0].detail if findings else f"the export answered {status}"
        raise CloudProblem(f"The ledger of the smoke test's user is not sound: {told}. Do not go live; see the log.")
