"""A hub of our own: the part of its protocol that the download of a model and of a data set uses."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(models: Mapping[str, Mapping[str, bytes]], data: Mapping[str, bytes]) -> Iterator[str]:
    """Serve models by name, and the files of ``nyu-mll/glue``; gives the hub's address."""
    files = {f"/{name}/{file}": content for name, own in models.items() for file, content in own.items()}
    files |= {f"/datasets/nyu-mll/glue/{file}": content for file, content in data.items()}

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            path = self.path.partition("?")[0]
            name, _, asked = path.removeprefix("/api/models/").partition("/")
            own = models.get(name, {}) if path.startswith("/api/models/") else {}
            content = files.get(path.replace("/resolve/main/", "/").replace(f"/resolve/{COMMIT}/", "/"))
            if own and asked.startswith("tree/"):
                listed = [
                    {"type": "file", "path": file, "size": len(own[file]), "oid": _tag(own[file])}
                    for file in own
                ]
                content = json.dumps(listed).encode()
            elif own:
                siblings = [{"rfilename": file} for file in own]
                content = json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode()
            self.send_response(404 if content is None else 200)
            if content is None:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{_tag(content or b"")}"')
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if body and content:
                self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _tag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
