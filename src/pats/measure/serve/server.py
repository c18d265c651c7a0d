"""The server: it takes connections, a bounded number at a time, and the model answers one at a time.

It is the standard library's: nearly all of a request's time is the model's, a faster one would gain nothing.
"""

import ipaddress
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import ThreadingHTTPServer
from typing import Any

from pats._errors import InputError
from pats.measure.predict import prediction
from pats.measure.serve.asked import Limits, Refused, asked, expected
from pats.measure.serve.handler import Handler, packed
from pats.measure.trained import Trained


class Server(ThreadingHTTPServer):
    """Listens from its construction on; ``serve_forever`` answers, ``stop`` ends it.

    Args:
        model: The model.
        host: A loopback address or ``localhost``; with ``remote`` any.
        port: The port; 0 takes a free one.
        limits: What a request may ask for.
        remote: Allow other machines to connect.
        on_request: Called with method, path, status and seconds of every request.

    Raises:
        InputError: The address is none, is not this machine's alone, or is taken.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(
        self,
        model: Trained,
        host: str = "127.0.0.1",
        port: int = 8000,
        limits: Limits | None = None,
        remote: bool = False,
        on_request: Callable[[str, str, int, float], None] = lambda *told: None,
    ) -> None:
        self.model, self.limits, self.remote, self.on_request = model, limits or Limits(), remote, on_request
        self._free = threading.BoundedSemaphore(self.limits.requests)
        self._model_is_free = threading.Lock()
        self._at_work = 0
        self._idle = threading.Condition()
        address = _address(host, remote)
        if not 0 <= port <= 65535:
            raise InputError(f"the port is {port}, but must be a whole number from 0 to 65535")
        self.address_family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        try:
            super().__init__((str(address), port), Handler)
        except OSError as error:
            raise InputError(
                f"port {port} of {host} cannot be used ({error.strerror}): name another one with --port"
            ) from None

    def server_bind(self) -> None:
        """Bind without asking a name server for this machine's name, as the standard library would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    @property
    def url(self) -> str:
        """Where it is."""
        host = self.server_name
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, or say at once that too many are at work."""
        if not self._free.acquire(blocking=False):
            with suppress(OSError):
                request.settimeout(1)
                body = packed({"error": "too many requests at a time: try again in a second"})
                head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1"
                request.sendall(
                    f"{head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
                )
                request.shutdown(socket.SHUT_WR)
                request.settimeout(0.05)
                request.recv(1 << 16)
            self.shutdown_request(request)
            return
        with self._idle:
            self._at_work += 1
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()
            with self._idle:
                self._at_work -= 1
                self._idle.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has left is no error; anything else is reported by its kind, without a traceback."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            sys.stderr.write(f"pats serve: a request failed ({type(error).__name__})\n")

    def stop(self, seconds: float = 5.0) -> None:
        """Take no more requests, wait for those at work, and close."""
        self.shutdown()
        with self._idle:
            self._idle.wait_for(lambda: not self._at_work, seconds)
        self.server_close()

    def answer(self, content: Any) -> dict[str, Any]:
        """What ``POST /predict`` says to the content of a request.

        Raises:
            Refused: The content is not what it must be, or the model is not free in time.
        """
        texts, pairs, top_k = asked(content, self.model.facts, self.limits)
        if not self._model_is_free.acquire(timeout=self.limits.seconds):
            raise Refused(503, "the model was not free in time: try again, with fewer texts at a time")
        try:
            scores = self.model.predict(texts, pairs)
        finally:
            self._model_is_free.release()
        found = [prediction((), row, self.model.facts, top_k) for row in scores]
        return {"predictions": [{"label": one.label, "scores": dict(one.scores)} for one in found]}

    def about(self) -> dict[str, Any]:
        """What ``GET /`` says."""
        facts = self.model.facts
        return {
            "model": facts.title,
            "task": facts.about.get("task"),
            "run": facts.about.get("run_id"),
            "labels": list(facts.labels),
            "kind": facts.kind,
            "input": expected(facts),
            "max_tokens": facts.max_length,
            "temperature": facts.temperature,
            "limits": {
                "body_bytes": self.limits.body,
                "texts": self.limits.texts,
                "characters_of_a_text": self.limits.length,
                "requests_at_a_time": self.limits.requests,
                "seconds": self.limits.seconds,
            },
            "use": 'POST /predict with {"texts": ["..."]} or {"pairs": [["...", "..."]]}',
        }


def _address(host: str, remote: bool) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host.lower() == "localhost" else host)
    except ValueError:
        raise InputError(
            f"the host {host[:80]!r} is no address: pass 127.0.0.1, ::1 or localhost, or another "
            "address of this machine together with --allow-other-machines"
        ) from None
    if not address.is_loopback and not remote:
        raise InputError(
            f"the host {host} is open to other machines, and nothing here asks who they are: leave --host "
            "out, or give --allow-other-machines too"
        )
    return address
