"""A program made of the code on docs/clients/python.md, before real functions and behind a bad connection.

in:  {module, project, authUrl, apiUrl, proxyUrl, page, package, picture: base64, secondsMax, goal, question,
     cutQuestion, slowQuestion, pictureQuestion}
out: {part: all that the program saw}
"""

import base64
import json
import runpy
import sys
import uuid
from collections.abc import Callable
from typing import Any

import requests

given = json.loads(sys.stdin.read())
page: Any = runpy.run_path(given["module"])
PASSWORD = "secret-enough"
email = f"page-{uuid.uuid4().hex}@example.com"
identity, tokens = (f"{given['authUrl']}/{page[host].removeprefix('https://')}" for host in ("IDENTITY", "TOKENS"))
requests.post(
    f"{identity}/v1/accounts:signUp?key=test", json={"email": email, "password": PASSWORD}, timeout=60
).raise_for_status()

told: dict[str, Any] = {}
login = page["Login"]("test", email, PASSWORD, identity, tokens)
client = page["Client"](given["apiUrl"], login.token)
database = page["firestore_of"](given["project"], login)


def failure(act: Callable[[], object]) -> Any:
    try:
        act()
    except page["ApiError"] as error:
        return {"status": error.status, "code": error.code, "params": error.params}
    return None


def balance(is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    return page["wait_until"](database, f"accounts/{login.uid}", is_so, given["secondsMax"])


conversation = client.call("POST", "chat/conversations", {"title": "Hello"})["id"]
told["poor"] = failure(lambda: page["ask"](client, conversation, given["question"], str(uuid.uuid4())))
client.call("POST", "credits/welcome-bonus")
told["bonus"] = balance(lambda account: account["available"] != "0")["available"]

login.expires_at = login.expires_at.replace(year=2000)
texts: list[str] = []
key = str(uuid.uuid4())
answer = page["ask"](client, conversation, given["question"], key, texts.append)
again = page["ask"](client, conversation, given["question"], key)
told["stream"] = {"texts": texts, "answer": answer, "again": again}
told["is_renewed"] = login.expires_at.year != 2000
told["shown"] = balance(lambda account: account["held"] == "0" and account["available"] != told["bonus"])["available"]

cut: list[str] = []
far = page["Client"](given["proxyUrl"], login.token)
told["cut"] = page["ask"](far, conversation, given["cutQuestion"], str(uuid.uuid4()), cut.append)
told["cutTexts"] = cut

stops: list[Any] = []
told["stopped"] = page["ask"](
    client,
    conversation,
    given["slowQuestion"],
    str(uuid.uuid4()),
    lambda text: None if stops else stops.append(page["stop"](client, conversation)),
)

picture = base64.b64decode(given["picture"])
told["picture"] = page["describe"](client, picture, "image/png", given["pictureQuestion"])
told["refused"] = failure(lambda: page["describe"](client, picture, "image/png", given["pictureQuestion"], "none"))
told["task"] = page["run_task"](client, database, given["goal"], "5", str(uuid.uuid4()), given["secondsMax"])

payment = page["buy"](client, given["package"], "stripe", given["page"], str(uuid.uuid4()))
requests.post(payment["checkout_url"], data={"action": "paid"}, allow_redirects=False, timeout=60).raise_for_status()
told["returned"] = page["returned"](client, payment["payment_id"])
told["payment"] = page["wait_until"](
    database, f"payments/{payment['payment_id']}", lambda one: one["status"] == "settled", given["secondsMax"]
)
client.session.close()
far.session.close()
database.close()
sys.stdout.write(json.dumps(told, default=str))
