"""The same requests with every client: unmodified, and written as their manuals say.

Each client is a class with the same methods; `CLIENTS` names them. A method returns what the
test compares, and lets exceptions out.
"""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

TIMEOUT = 20
PIECES = [b"piece %d " % number for number in range(4)]


class Urllib:
    name = "urllib.request"

    async def get(self, url):
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            return [response.status, json.load(response)]

    async def post(self, url, value):
        request = urllib.request.Request(url, json.dumps(value).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return json.load(response)

    async def cookies(self, url):
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        return [opener.open(url, timeout=TIMEOUT).read().decode() for _ in range(2)]

    async def upload(self, url):
        request = urllib.request.Request(url, iter(PIECES), method="POST")
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return json.load(response)

    async def impatient(self, url):
        urllib.request.urlopen(url, timeout=0.05)

    async def lines(self, url):
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            for line in response:
                yield line


class HttpClient:
    name = "http.client"

    def _connection(self, url, timeout=TIMEOUT):
        parts = urllib.parse.urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname, parts.port, timeout=timeout), f"{parts.path}?{parts.query}"

    async def get(self, url):
        connection, target = self._connection(url)
        answers = []
        for _ in range(2):  # on one connection
            connection.request("GET", target)
            response = connection.getresponse()
            answers = [response.status, json.load(response)]
        connection.close()
        return answers

    async def post(self, url, value):
        connection, target = self._connection(url)
        connection.request("POST", target, json.dumps(value), {"content-type": "application/json"})
        return json.load(connection.getresponse())

    async def upload(self, url):
        connection, target = self._connection(url)
        connection.request("POST", target, iter(PIECES), encode_chunked=True)
        return json.load(connection.getresponse())

    async def impatient(self, url):
        connection, target = self._connection(url, 0.05)
        connection.request("GET", target)
        connection.getresponse()

    async def lines(self, url):
        connection, target = self._connection(url)
        connection.request("GET", target)
        for line in connection.getresponse():
            yield line


class Requests:
    name = "requests"

    def __init__(self):
        import requests

        self.session = requests.Session()

    async def get(self, url, **options):
        response = self.session.get(url, timeout=TIMEOUT, **options)
        return [response.status_code, response.json()]

    async def post(self, url, value):
        return self.session.post(url, json=value, timeout=TIMEOUT).json()

    async def cookies(self, url):
        return [self.session.get(url, timeout=TIMEOUT).text for _ in range(2)]

    async def encoded(self, url):
        return self.session.get(url, timeout=TIMEOUT).text

    async def upload(self, url):
        return self.session.post(url, data=iter(PIECES), timeout=TIMEOUT).json()

    async def impatient(self, url):
        self.session.get(url, timeout=0.05)

    async def unverified(self, url):
        return await self.get(url, verify=False)

    async def lines(self, url):
        with self.session.get(url, stream=True, timeout=TIMEOUT) as response:
            for line in response.iter_lines():
                yield line + b"\n"


class Urllib3:
    name = "urllib3"

    def __init__(self):
        import urllib3

        self.pool = urllib3.PoolManager(timeout=TIMEOUT, retries=urllib3.Retry(connect=0, read=0, redirect=5))

    async def get(self, url):
        response = self.pool.request("GET", url)
        return [response.status, response.json()]

    async def post(self, url, value):
        return self.pool.request("POST", url, json=value).json()

    async def encoded(self, url):
        return self.pool.request("GET", url).data.decode()

    async def upload(self, url):
        return self.pool.request("POST", url, body=iter(PIECES)).json()

    async def impatient(self, url):
        self.pool.request("GET", url, timeout=0.05, retries=False)

    async def unverified(self, url):
        import urllib3

        return urllib3.PoolManager(cert_reqs="CERT_NONE", retries=False).request("GET", url).status


class Httpx:
    name = "httpx"
    module = "httpx"

    def __init__(self):
        self.library = __import__(self.module)
        self.client = self.library.Client(timeout=TIMEOUT, follow_redirects=True)

    async def get(self, url):
        response = self.client.get(url)
        return [response.status_code, response.json()]

    async def post(self, url, value):
        return self.client.post(url, json=value).json()

    async def cookies(self, url):
        return [self.client.get(url).text for _ in range(2)]

    async def encoded(self, url):
        return self.client.get(url).text

    async def upload(self, url):
        return self.client.post(url, content=iter(PIECES)).json()

    async def impatient(self, url):
        self.client.get(url, timeout=0.05)

    async def unverified(self, url):
        return self.library.Client(verify=False).get(url).status_code

    async def lines(self, url):
        with self.client.stream("GET", url) as response:
            for line in response.iter_lines():
                yield line.encode() + b"\n"


class Httpx2(Httpx):
    name = "httpx2"
    module = "httpx2"


class AsyncHttpx:
    name = "httpx, async"
    module = "httpx"

    def __init__(self):
        self.library = __import__(self.module)
        self.client = self.library.AsyncClient(timeout=TIMEOUT, follow_redirects=True)

    async def get(self, url):
        response = await self.client.get(url)
        return [response.status_code, response.json()]

    async def post(self, url, value):
        return (await self.client.post(url, json=value)).json()

    async def cookies(self, url):
        return [(await self.client.get(url)).text for _ in range(2)]

    async def encoded(self, url):
        return (await self.client.get(url)).text

    async def upload(self, url):
        async def pieces():
            for piece in PIECES:
                yield piece

        return (await self.client.post(url, content=pieces())).json()

    async def impatient(self, url):
        await self.client.get(url, timeout=0.05)

    async def unverified(self, url):
        async with self.library.AsyncClient(verify=False) as client:
            return (await client.get(url)).status_code

    async def lines(self, url):
        async with self.client.stream("GET", url) as response:
            async for line in response.aiter_lines():
                yield line.encode() + b"\n"


class AsyncHttpx2(AsyncHttpx):
    name = "httpx2, async"
    module = "httpx2"


class Aiohttp:
    name = "aiohttp"

    def _session(self):
        import aiohttp

        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))

    async def get(self, url, **options):
        async with self._session() as session, session.get(url, **options) as response:
            return [response.status, await response.json(content_type=None)]

    async def post(self, url, value):
        async with self._session() as session, session.post(url, json=value) as response:
            return await response.json()

    async def cookies(self, url):
        async with self._session() as session:
            return [await (await session.get(url)).text() for _ in range(2)]

    async def encoded(self, url):
        async with self._session() as session, session.get(url) as response:
            return await response.text()

    async def upload(self, url):
        async def pieces():
            for piece in PIECES:
                yield piece

        async with self._session() as session, session.post(url, data=pieces()) as response:
            return await response.json()

    async def impatient(self, url):
        import aiohttp

        async with self._session() as session:
            await session.get(url, timeout=aiohttp.ClientTimeout(total=0.05))

    async def unverified(self, url):
        return await self.get(url, ssl=False)

    async def lines(self, url):
        async with self._session() as session, session.get(url) as response:
            async for line in response.content:
                yield line


CLIENTS = {
    kind.name: kind
    for kind in (Urllib, HttpClient, Requests, Urllib3, Httpx, Httpx2, AsyncHttpx, AsyncHttpx2, Aiohttp)
}
