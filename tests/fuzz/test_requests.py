"""Requests to ``pats serve``: heads and bodies of any kind, cut, garbled, or of another protocol."""

import io
import json
import socket
import threading
from contextlib import redirect_stderr

import pytest
from hypothesis import strategies as st

from pats import Run, finetune
from pats.measure.serve.asked import Limits
from pats.measure.serve.handler import Handler
from pats.measure.serve.server import Server
from pats.measure.trained import load_model
from support.fuzzing.damage import TEXTS, WRONG, bytes_of, cut, json_of
from support.fuzzing.door import Fault, fuzzed
from support.tiny_bert import make_table, make_tiny_bert

DOOR = "requests"

METHODS = (*("POST",) * 12, "GET", "HEAD", "PUT", "post", "", "OPTIONS", "TRACE")
PATHS = (*("/predict",) * 12, "/", "/predict?x=1", "//predict", "/../model", "/%00", "*", "")
HEADERS = (
    ("Host", ("localhost:8000", "127.0.0.1", "[::1]:1", "example.org", "localhost.example.org", "", "]")),
    ("Content-Type", ("application/json", "application/json; charset=utf-16", "text/plain", ";;", "")),
    ("Content-Length", ("{}", "{}", "{}", "0", "-1", "+3", "1e9", "99999999999999999999", "٣", "3, 3", "")),
    ("Transfer-Encoding", ("chunked", "identity")),
    ("Expect", ("100-continue", "a miracle")),
    ("X-Long", ("a" * 70_000, "a\r\n b", "\x00")),
)
STATUSES = {200, 400, 403, 404, 405, 408, 411, 413, 414, 415, 417, 422, 431, 503, 505}
LIMITS = Limits(body=10_000, texts=8, length=300, seconds=2)


@st.composite
def requests(draw):
    """The bytes of a request."""
    texts = draw(st.lists(TEXTS, min_size=0, max_size=6))
    content = {"texts": texts or ["fine"], "top_k": draw(st.sampled_from((*(1, 2) * 20, *WRONG)))}
    if draw(st.booleans()):
        del content["top_k"]
    kind = draw(st.sampled_from(("sound", "sound", "sound", "sound", "json", "bytes", "cut", "nested")))
    whole = json.dumps(content).encode()
    made = {"json": json_of(content), "bytes": bytes_of(whole), "cut": cut(whole)}
    body = draw(made[kind]) if kind in made else b"[" * 5_000 if kind == "nested" else whole
    method, path = draw(st.sampled_from(METHODS)), draw(st.sampled_from(PATHS))
    version = draw(st.sampled_from(("HTTP/1.1",) * 20 + ("HTTP/1.0", "HTTP/9.9", "HTTP/", "")))
    head = [f"{method} {path} {version}"]
    for name, values in HEADERS[:3]:
        if draw(st.integers(0, 9)):
            head.append(
                f"{name}: {draw(st.sampled_from(values[:1] * 25 + values))}".replace("{}", str(len(body)))
            )
    for name, values in HEADERS[3:]:
        if not draw(st.integers(0, 9)):
            head.append(f"{name}: {draw(st.sampled_from(values))}")
    sent = "\r\n".join([*head, "", ""]).encode() + body
    return draw(bytes_of(sent)) if not draw(st.integers(0, 5)) else sent


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    table = make_table(folder / "reviews.csv", rows=60)
    run = Run(data=str(table), model=str(make_tiny_bert(folder / "bert")), method="vanilla", max_steps=1)
    finetune(run, folder / "out")
    return load_model(folder / "out" / "model")


class Here:
    """A server without a socket: what ``Server`` answers, and nothing that listens."""

    answer, about = Server.answer, Server.about
    limits, remote = LIMITS, False

    def __init__(self, model):
        self.model, self._model_is_free, self.statuses = model, threading.Lock(), []

    def on_request(self, method, path, status, seconds):
        self.statuses.append(status)


def answered(here, sent):
    """What comes back for some bytes, and what was said to the server's owner."""
    client, server = socket.socketpair()
    said = io.StringIO()
    with client, server, redirect_stderr(said):
        client.settimeout(5)
        server.settimeout(5)
        writing = threading.Thread(target=send, args=(client, sent))
        writing.start()
        Handler(server, ("127.0.0.1", 1), here)
        server.close()
        back = b"".join(iter(lambda: client.recv(1 << 16), b""))
        writing.join(5)
    return back, said.getvalue()


def send(client, sent):
    try:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the answer came before the end


def checked(here, sent):
    back, said = answered(here, sent)
    if said:
        raise Fault(f"the server's owner is told of a fault: {said}")
    if not here.statuses:
        if back:
            raise Fault(f"an answer that nobody was told of: {back[:200]!r}")
        return
    head, _, body = back.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    if [status] != here.statuses or status not in STATUSES:
        raise Fault(f"status {status}, told {here.statuses}: {back[:300]!r}")
    if body:
        content = json.loads(body)
        if status != 200 and [*content] != ["error"]:
            raise Fault(f"a refusal is no sentence: {content}")


@fuzzed(requests())
def test_requests(door, model, sent):
    here = Here(model)
    door.tried(lambda: checked(here, sent))
    for status in here.statuses:
        if status != 200:
            door.counts["taken"] -= 1
            door.counts["refused"] += 1
            door.places.add(str(status))


def test_a_sound_request_is_answered(model):
    """The control: the door can be passed."""
    body = json.dumps({"texts": ["a fine day", "dull"]}).encode()
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    here = Here(model)
    back, said = answered(here, f"{head}{len(body)}\r\n\r\n".encode() + body)
    assert (here.statuses, said) == ([200], "")
    assert len(json.loads(back.partition(b"\r\n\r\n")[2])["predictions"]) == 2


def test_an_answer_arrives_though_its_request_was_not_read_to_its_end(model):
    """Closing a connection with unread bytes takes back what was sent on it."""
    here = Here(model)
    back, said = answered(here, b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n")
    assert (here.statuses, said) == ([431], "")
    assert [*json.loads(back.partition(b"\r\n\r\n")[2])] == ["error"]
