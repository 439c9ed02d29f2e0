"""A hostile agent: tries what `confined.py` lists, and requests to URLs, when the test says what there is to try."""

import json
import os
import urllib.error
import urllib.request


async def body_of(receive):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return json.loads(body)


def attempts(known):
    own = {
        "scratch": os.environ["TMPDIR"],
        "package": os.path.join(os.path.dirname(__file__), "data.txt"),
    }
    os.environ["KNOWN"] = json.dumps(known | own)
    import confined

    tried = confined.USES | confined.ATTEMPTS
    return {name: confined.outcome(tried[name]) for name in tried if name not in known["left_out"]}


def requests(urls):
    """The status of each, or the code it was denied with."""

    def requested(url):
        try:
            return urllib.request.urlopen(url, timeout=20).status
        except urllib.error.HTTPError as error:
            return error.code
        except urllib.error.URLError as error:
            return getattr(error.reason, "code", repr(error))

    return [requested(url) for url in urls]


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    asked = {"/attempts": attempts, "/requests": requests}[scope["path"]]
    answer = asked(await body_of(receive))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
