import http.client
import json
import socket
import threading
import time
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from pats import InputError
from pats.measure.serve.asked import Limits
from pats.measure.serve.server import Server
from pats.measure.trained import Facts


class Model:
    """Scores by the length of the text; it may be made to wait, or to fail."""

    def __init__(self, labels=("bad", "good"), pair=False):
        about = {"task": "reviews", "run_id": "0123"}
        self.facts = Facts("/secret/place/model", labels, {"text": "text"}, pair, 64, 1.0, about)
        self.gate = threading.Event()
        self.gate.set()
        self.at_once, self.most, self.error = 0, 0, None

    def predict(self, texts, pairs=None, batch_size=32):
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        assert self.gate.wait(20)
        self.at_once -= 1
        if self.error:
            raise self.error
        long = np.array([len(text) for text in texts]) + (0 if pairs is None else len(pairs[0]))
        share = 1 / (1 + long)
        return np.stack([share, 1 - share], axis=1) if self.facts.labels else long[:, None].astype(float)


@contextmanager
def serving(model=None, **options):
    limits = Limits(**{"seconds": 5, **options.pop("limits", {})})
    server = Server(model or Model(), port=0, limits=limits, **options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.stop(2)
        thread.join(5)
    assert not thread.is_alive()


def ask(server, method, path, body=None, **headers):
    """Status and content of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    if isinstance(body, dict | list):
        body, headers = json.dumps(body), {"Content-Type": "application/json", **headers}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Connection"] == "close"
    return answer.status, json.loads(content) if content else None


def raw(server, content, wait=20):
    """Everything that comes back on a connection."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=wait) as connection:
        connection.sendall(content)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_it_says_what_model_it_is_and_not_where():
    with serving() as server:
        status, about = ask(server, "GET", "/")
        assert status == 200
        assert about["labels"] == ["bad", "good"]
        assert (about["model"], about["task"], about["run"]) == ("place", "reviews", "0123")
        assert about["limits"]["texts"] == Limits.texts
        assert "/secret" not in json.dumps(about)
        assert ask(server, "HEAD", "/") == (200, None)


@pytest.mark.parametrize("count", [1, 256])
def test_a_batch(count):
    with serving() as server:
        status, found = ask(server, "POST", "/predict", {"texts": ["é" * i for i in range(count)]})
    assert status == 200
    assert len(found["predictions"]) == count
    assert found["predictions"][0] == {"label": "bad", "scores": {"bad": 1.0, "good": 0.0}}


def test_the_best_classes_pairs_and_scores():
    with serving() as server:
        _, found = ask(server, "POST", "/predict", {"texts": ["abc"], "top_k": 1})
        assert found["predictions"] == [{"label": "good", "scores": {"good": 0.75}}]
    with serving(Model(pair=True)) as server:
        _, found = ask(server, "POST", "/predict", {"pairs": [["ab", "c"]]})
        assert found["predictions"][0]["scores"]["good"] == 0.75
        assert ask(server, "POST", "/predict", {"texts": ["ab"]})[0] == 422
    with serving(Model(labels=())) as server:
        _, found = ask(server, "POST", "/predict", {"texts": ["abc"]})
        assert found["predictions"] == [{"label": None, "scores": {"score": 3.0}}]
        assert ask(server, "GET", "/")[1]["kind"] == "regression"


WRONG = {
    "no object": (["a"], 422, 'an object such as {"texts"'),
    "no key": ({}, 422, 'must have the key "texts"'),
    "another key": ({"texts": ["a"], "path": "/etc"}, 422, "but no other"),
    "pairs": ({"pairs": [["a", "b"]]}, 422, 'this model reads texts: send them as {"texts"'),
    "no list": ({"texts": "a"}, 422, "a list that is not empty"),
    "an empty list": ({"texts": []}, 422, "a list that is not empty"),
    "no text": ({"texts": ["a", 1]}, 422, "number 2 is no text"),
    "null": ({"texts": [None]}, 422, "number 1 is no text"),
    "half a character": ({"texts": ["\ud83d"]}, 422, "half a character"),
    "top_k": ({"texts": ["a"], "top_k": 0}, 422, "whole number from 1"),
    "top_k true": ({"texts": ["a"], "top_k": True}, 422, "whole number from 1"),
    "too many": ({"texts": ["a"] * 257}, 413, "at most 256 texts, but this one has 257"),
    "too long": ({"texts": ["a" * 100_001]}, 413, "at most 100,000 characters, but number 1 has more"),
    "a text of a megabyte": ({"texts": ["b", "a" * 1_000_000]}, 413, "number 2 has more"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_content_is_told(case):
    content, status, said = WRONG[case]
    with serving() as server:
        found = ask(server, "POST", "/predict", content)
    assert found[0] == status
    assert list(found[1]) == ["error"]
    assert said in found[1]["error"]


JSON = {"Content-Type": "application/json"}
REFUSED = {
    "another path": ("GET", "/etc/passwd", None, {}, 404),
    "GET /predict": ("GET", "/predict?texts=a", None, {}, 405),
    "POST /": ("POST", "/", "{}", JSON, 405),
    "DELETE": ("DELETE", "/", None, {}, 405),
    "an unknown method": ("OPTIONS", "/predict", None, {}, 405),
    "no JSON": ("POST", "/predict", "{", JSON, 400),
    "deep": ("POST", "/predict", "[" * 100_000, JSON, 400),
    "a huge number": ("POST", "/predict", "1" * 10_000, JSON, 400),
    "no UTF-8": ("POST", "/predict", b"\xff\xfe\xfd", JSON, 400),
    "a form": ("POST", "/predict", "texts=a", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    "plain text": ("POST", "/predict", '{"texts": ["a"]}', {"Content-Type": "text/plain"}, 415),
    "another host": ("GET", "/", None, {"Host": "evil.example"}, 403),
    "a host that only begins well": ("GET", "/", None, {"Host": "localhost.evil.example:80"}, 403),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_requests_get_json(case):
    method, path, body, headers, status = REFUSED[case]
    with serving() as server:
        found = ask(server, method, path, body, **headers)
        assert found[0] == status
        assert list(found[1]) == ["error"]
        assert ask(server, "POST", "/predict", {"texts": ["a"]})[0] == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "LOCALHOST"])
def test_names_of_this_machine(host):
    with serving() as server:
        assert ask(server, "GET", "/", Host=host)[0] == 200


LENGTHS = {
    "none": ("", b"411"),
    "chunked": ("Transfer-Encoding: chunked\r\n", b"411"),
    "no number": ("Content-Length: x\r\n", b"400"),
    "negative": ("Content-Length: -1\r\n", b"400"),
    "twice": ("Content-Length: 2\r\nContent-Length: 3\r\n", b"400"),
    "too large": ("Content-Length: 999999999\r\n", b"413"),
    "too large, asked before": ("Expect: 100-continue\r\nContent-Length: 999999999\r\n", b"413"),
    "asked before": ("Expect: 100-continue\r\nContent-Length: 2\r\n", b"100"),
}


@pytest.mark.parametrize("case", LENGTHS)
def test_lengths(case):
    header, status = LENGTHS[case]
    with serving(limits={"seconds": 1}) as server:
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{header}\r\n"
        assert raw(server, head.encode() + b"{}").split()[1] == status


def test_a_body_that_is_too_large_is_answered_though_it_is_sent():
    with serving(limits={"body": 1000}) as server:
        status, found = ask(server, "POST", "/predict", {"texts": ["a" * 3_000_000]})
    assert (status, found) == (413, {"error": "a request has at most 1,000 bytes: send fewer texts"})


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", b""),
        (b"GET", b""),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n", b""),
        (
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 9\r\n\r\n{",
            b"408",
        ),
        (b"\x16\x03\x01\r\n\r\n", b"400"),
        (b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"431"),
    ],
)
def test_who_sends_slowly_or_nonsense_is_let_go(sent, status):
    with serving(limits={"seconds": 0.5}) as server:
        began = time.monotonic()
        answer = raw(server, sent)
        assert time.monotonic() - began < 4
        assert status in answer[:20]
        assert ask(server, "GET", "/")[0] == 200


def test_a_client_that_drips_is_let_go():
    with serving(limits={"seconds": 1}) as server:
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as connection:
            began = time.monotonic()
            with suppress(OSError):
                while time.monotonic() - began < 10:
                    connection.sendall(b"A")
                    time.sleep(0.05)
        assert time.monotonic() - began < 6


def test_clients_that_leave_do_no_harm(capsys):
    with serving() as server:
        for sent in (b"", b"POST /pre", b"POST /predict HTTP/1.1\r\nContent-Length: 100\r\n\r\n{"):
            with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
                connection.sendall(sent)
        assert ask(server, "GET", "/")[0] == 200
    assert "Traceback" not in capsys.readouterr().err


def test_one_request_at_a_time_reaches_the_model_and_the_rest_is_bounded():
    model = Model()
    model.gate.clear()
    told = []
    with serving(model, limits={"requests": 3}) as server:

        def one():
            told.append(ask(server, "POST", "/predict", {"texts": ["a"]})[0])

        threads = [threading.Thread(target=one) for _ in range(3)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 10
        while not model.at_once or server._at_work < 3:
            assert time.monotonic() < until
            time.sleep(0.01)
        status, found = ask(server, "GET", "/")
        assert status == 503
        assert "too many requests" in found["error"]
        model.gate.set()
        for thread in threads:
            thread.join(10)
        assert told == [200, 200, 200]
        assert model.most == 1
        assert ask(server, "GET", "/")[0] == 200


def test_who_waits_too_long_for_the_model_is_told():
    model = Model()
    model.gate.clear()
    with serving(model, limits={"seconds": 0.3}) as server:
        first = threading.Thread(target=ask, args=(server, "POST", "/predict", {"texts": ["a"]}))
        first.start()
        while not model.at_once:
            time.sleep(0.01)
        assert ask(server, "POST", "/predict", {"texts": ["a"]})[0] == 503
        model.gate.set()
        first.join(10)


def test_a_model_that_fails_tells_nothing_of_the_machine(capsys):
    model = Model()
    model.error = RuntimeError("cannot open /secret/place")
    with serving(model) as server:
        status, found = ask(server, "POST", "/predict", {"texts": ["a"]})
        assert (status, found) == (500, {"error": "the model failed on this request"})
    told = capsys.readouterr().err
    assert "RuntimeError" in told
    assert "/secret" not in told
    assert "Traceback" not in told


def test_a_request_at_work_is_finished_at_the_stop():
    model = Model()
    model.gate.clear()
    found = []
    with serving(model) as server:
        thread = threading.Thread(
            target=lambda: found.append(ask(server, "POST", "/predict", {"texts": ["a"]}))
        )
        thread.start()
        while not model.at_once:
            time.sleep(0.01)
        threading.Timer(0.2, model.gate.set).start()
    thread.join(5)
    assert found[0][0] == 200


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"host": "0.0.0.0"}, "open to other machines.*--allow-other-machines"),
        ({"host": "192.0.2.1"}, "open to other machines"),
        ({"host": "::"}, "open to other machines"),
        ({"host": "example.org"}, "is no address"),
        ({"host": ""}, "is no address"),
        ({"port": -1}, "must be a whole number from 0 to 65535"),
        ({"port": 70_000}, "must be a whole number from 0 to 65535"),
    ],
)
def test_addresses_that_are_refused(options, said):
    with pytest.raises(InputError, match=rf"^[^\n]*{said}"):
        Server(Model(), **options)


def test_a_port_that_is_taken_and_one_that_is_asked_for():
    with serving() as server, pytest.raises(InputError, match=r"cannot be used .*--port"):
        Server(Model(), port=server.server_port)
    with serving(host="0.0.0.0", remote=True) as server:
        assert ask(server, "GET", "/", Host="any.example")[0] == 200


def test_every_request_is_told_without_its_texts():
    told = []
    with serving(on_request=lambda *one: told.append(one[:3])) as server:
        ask(server, "GET", "/")
        ask(server, "POST", "/predict", {"texts": ["hidden"]})
        ask(server, "POST", "/predict", {"texts": []})
    assert told == [("GET", "/", 200), ("POST", "/predict", 200), ("POST", "/predict", 422)]
