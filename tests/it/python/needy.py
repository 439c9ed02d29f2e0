"""An agent that works when it has everything it needs: a variable, a secret, two servers; and files, where it has some to do."""

import json
import os
import urllib.request

MODE = os.environ["MODE"]


def call(method, url, headers=None):
    request = urllib.request.Request(url, method=method, headers=headers or {})
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)


def work():
    one, other = os.environ["ONE"], os.environ["OTHER"]
    call("GET", one + "/echo/items/7?page=2")
    call("POST", one + "/echo/orders", {"authorization": "Bearer " + os.environ["API_KEY"]})
    call("GET", other + "/echo")
    if os.path.exists("/agent/with_files"):
        with open("/data/models/weights.txt") as weights, open("/scratch/copy", "w") as copy:
            copy.write(weights.read())
    return {"mode": MODE}


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    try:
        status, answer = 200, work()
    except Exception as error:
        status, answer = 500, {"raised": repr(error)}
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
