"""One request over HTTP: who may ask, how long it takes, and what comes back."""

import io
import ipaddress
import json
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

from pats.measure.serve.asked import Limits, Refused

_DRAINED = 1 << 24  # bytes of a refused body that are read, so that the answer arrives


class Answering(Protocol):
    """What a request needs of its server."""

    limits: Limits
    remote: bool

    def about(self) -> Any:
        """What ``GET /`` says."""

    def answer(self, content: Any) -> Any:
        """What ``POST /predict`` says."""

    def on_request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Called after every answer."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Answering  # type: ignore[assignment]
    protocol_version = "HTTP/1.1"  # for "Expect: 100-continue"; a connection is closed all the same
    server_version, sys_version = "pats", ""

    def setup(self) -> None:
        """Set the time by which the request must have arrived."""
        super().setup()
        self._started = time.monotonic()
        self._left: int | None = None  # bytes of the body that were not read, where it said how many it has
        self._until = self._started + self.server.limits.seconds
        self.rfile = io.BufferedReader(_Deadline(self.connection, self._until))

    def handle(self) -> None:
        """Answer one request; the connection serves no other."""
        try:
            self.handle_one_request()
        finally:
            self._drain()

    def do_GET(self) -> None:
        """``GET /``: what model this is."""
        with self._answered():
            self._admit()
            if self._path() != "/":
                self._no_such_path()
            self._send(200, self.server.about())

    def do_HEAD(self) -> None:
        """As GET, without the content."""
        self.do_GET()

    def do_POST(self) -> None:
        """``POST /predict``: labels and scores of texts."""
        with self._answered():
            self._admit()
            if self._path() != "/predict":
                self._no_such_path()
            self._send(200, self.server.answer(self._content()))

    def handle_expect_100(self) -> bool:
        """Refuse a body that is too large before it is sent."""
        with self._answered():
            self._length()
            return super().handle_expect_100()
        return False

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Say in JSON what the standard library would say in HTML."""
        if code == 501:
            said = "only GET / and POST /predict are answered"
            self._send(405, {"error": said}, {"Allow": "GET, POST"})
        else:
            self._send(code, {"error": f"this is no HTTP request that is understood ({message or code})"})

    def _path(self) -> str:
        return self.path.partition("?")[0]

    def _no_such_path(self) -> None:
        if self._path() in ("/", "/predict"):
            allowed = "GET" if self._path() == "/" else "POST"
            raise Refused(405, f"{self._path()} takes {allowed} alone")
        raise Refused(404, "there is nothing at this path: GET / or POST /predict")

    def _admit(self) -> None:
        """Refuse what a page of another site makes a browser on this machine send."""
        host = self.headers.get("Host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if not self.server.remote and not _is_loopback(name.strip("[]")):
            raise Refused(403, "this server answers to the names of this machine alone, such as localhost")

    def _length(self) -> int:
        told = self.headers.get_all("Content-Length") or []
        if self.headers.get("Transfer-Encoding") is not None or not told:
            raise Refused(411, "the request must say its length with Content-Length")
        if len(told) > 1 or not (told[0].isascii() and told[0].isdigit() and len(told[0]) < 20):
            raise Refused(400, "Content-Length must be one whole number")
        self._left = int(told[0])
        if self._left > self.server.limits.body:
            raise Refused(413, f"a request has at most {self.server.limits.body:,} bytes: send fewer texts")
        return self._left

    def _content(self) -> Any:
        """The content of the body."""
        length = self._length()
        kind = self.headers.get_content_type()
        if kind != "application/json":
            raise Refused(415, "the request must be JSON, and say so with Content-Type: application/json")
        try:
            body = self.rfile.read(length)
        except TimeoutError:
            raise Refused(408, f"the request was not there in {self.server.limits.seconds:g} s") from None
        self._left = 0
        if len(body) < length:
            raise Refused(400, "the request ends before its Content-Length")
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise Refused(400, 'the request is no JSON; it must be such as {"texts": ["..."]}') from None

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Turn what is raised within into an answer in JSON."""
        try:
            yield
        except Refused as refused:
            self._send(refused.status, {"error": str(refused)})
        except ConnectionError:
            raise
        except Exception as error:
            sys.stderr.write(f"pats serve: a request failed ({type(error).__name__})\n")
            self._send(500, {"error": "the model failed on this request"})

    def _send(self, status: int, content: Any, more: Mapping[str, str] | None = None) -> None:
        body = packed(content)
        self.connection.settimeout(self.server.limits.seconds)
        self.request_version = "HTTP/1.1"  # what is no request would be answered as by the first web servers
        self.send_response(status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        safe = {"Connection": "close", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        for name, value in {**headers, **safe, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if getattr(self, "command", None) != "HEAD":
            self.wfile.write(body)
        method, path = getattr(self, "command", None) or "?", getattr(self, "path", "?")
        self.server.on_request(method, path, status, time.monotonic() - self._started)
        self.close_connection = True

    def _drain(self) -> None:
        """Read what is left of a refused body: closing before would take the answer away from the client."""
        with suppress(OSError, ValueError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(0.5)
            left = (
                _DRAINED if self._left is None else min(self._left or 1, _DRAINED)
            )  # None: it said no length
            until = time.monotonic() + 2
            while left > 0 and time.monotonic() < until:
                got = len(self.connection.recv(min(left, 1 << 16)))
                left = left - got if got else 0

    def log_message(self, format: str, *args: Any) -> None:
        """``on_request`` tells instead, and never what a text said."""


class _Deadline(io.RawIOBase):
    """What a connection sends, until a time; a client that sends a byte now and then gets no more of it."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection, self._until = connection, until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


def packed(content: Any) -> bytes:
    """An answer's body."""
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"


def _is_loopback(name: str) -> bool:
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
