"""`api` over memory adapters, as a source for functions-framework: the real server, with nothing else to start.

TOLD names the file in which it writes the tokens of its people.
"""

import json
import os
from pathlib import Path

from functions import http_api
from functions.serving import serve_patiently
from shared.kernel.clock import SystemClock
from tests.api.world import World

world = World(env={"THREADS": os.environ["THREADS"]}, clock=SystemClock())
people = [world.person(credits_=10) for _ in range(8)]
Path(os.environ["TOLD"]).write_text(json.dumps([person.token for person in people]))

serve_patiently()
http_api._app = world.app
served = http_api.api
