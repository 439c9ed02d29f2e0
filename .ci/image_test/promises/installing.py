"""A package index over TLS, and an image with nothing but PAR to install from it."""

import base64
import contextlib
import hashlib
import http.server
import io
import json
import ssl
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

from image_test.container import environment, get
from image_test.saying import check, said
from image_test.tests import Tests

WHEEL = "thing-1.0-py3-none-any.whl"

MAIN = """
import thing
async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': thing.answer})
"""

CERTIFICATE = """
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = index of a promise
[extensions]
basicConstraints = critical, CA:FALSE
subjectAltName = IP:{address}
"""


def installs_from_an_index(tests: Tests) -> None:
    """R066, R068: without uv and without Python, what a package pins comes from a package index."""
    content = wheel()
    digest = hashlib.sha256(content).hexdigest()
    manifest = 'name: pinned\nversion: "1.0"\ndescription: x\nhttp_server: main:app\n'
    files = {"agent.yaml": manifest, "main.py": MAIN}
    pinned = f"thing==1.0 --hash=sha256:{digest}\n"
    package = tests.package("pinned", {**files, "requirements.txt": pinned})
    other = tests.package("other", {**files, "requirements.txt": pinned.replace(digest, "0" * 64)})
    with index(tests, content, digest) as (url, authority, asked):
        options = [
            *environment(PAR_INDEX_URL=url, SSL_CERT_FILE="/authority/index.pem"),
            f"--volume={authority}:/authority:ro",
        ]
        with tests.running(*tests.of(package), *options) as container:
            status, body = get(container.ready().url("/agents/app-1/"))
            check((status, body) == (200, b"of the index"), f"{status} {body!r}")
            check("5ec4e7" not in container.log(), container.log())
        wanted = ["/simple/thing/", f"/files/{WHEEL}"]
        check(asked == wanted, f"it asked for {asked}")
        code, log = tests.refused(*tests.of(other), *options)
        check(code == 13 and "thing==1.0" in log and "Runtime ready" not in log, f"{code}\n{log}")
        check(asked == [*wanted, "/simple/thing/"], f"it asked for {asked}")


def wheel() -> bytes:
    """A wheel of one module."""
    metadata = "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n"
    tags = "Wheel-Version: 1.0\nGenerator: promise\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {
        "thing.py": "answer = b'of the index'\n",
        "thing-1.0.dist-info/METADATA": metadata,
        "thing-1.0.dist-info/WHEEL": tags,
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
        record += f"{path},sha256={digest.decode().rstrip('=')},{len(text)}\n"
    name = "thing-1.0.dist-info/RECORD"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in {**files, name: f"{record}{name},,\n"}.items():
            archive.writestr(path, text)
    return buffer.getvalue()


@contextlib.contextmanager
def index(tests: Tests, content: bytes, digest: str) -> Iterator[tuple[str, Path, list[str]]]:
    """One with that wheel, for whoever knows the password: its URL, where its certificate is, what it was asked for."""
    address, place, asked = tests.engine.gateway, tests.place / "authority", []
    place.mkdir(mode=0o755)
    (place / "config").write_text(CERTIFICATE.format(address=address))
    key, certificate = place / "index.key", place / "index.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    made += ["-nodes", "-days=2", "-config", str(place / "config")]
    said(*made, "-keyout", str(key), "-out", str(certificate))
    certificate.chmod(0o644)
    file = {"filename": WHEEL, "url": f"../../files/{WHEEL}", "hashes": {"sha256": digest}}
    page = json.dumps({"meta": {"api-version": "1.0"}, "name": "thing", "files": [file]})
    json_page = ("application/vnd.pypi.simple.v1+json", page.encode())
    answers = {
        "/simple/thing/": json_page,
        f"/files/{WHEEL}": ("application/octet-stream", content),
    }
    password = base64.b64encode(b"user:5ec4e7").decode()

    class Index(http.server.BaseHTTPRequestHandler):
        """Pages and wheels."""

        def do_GET(self) -> None:
            """One of them."""
            asked.append(self.path)
            kind, body = answers.get(self.path, ("text/plain", b""))
            is_known = self.headers["authorization"] == f"Basic {password}"
            self.send_response(401 if not is_known else 200 if body else 404)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body) if is_known else 0))
            self.end_headers()
            self.wfile.write(body if is_known else b"")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer((address, 0), Index)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://user:5ec4e7@{address}:{server.server_port}/simple", place, asked
    finally:
        server.shutdown()
        server.server_close()
