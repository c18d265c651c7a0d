import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from huggingface_hub import constants

from pats import InputError
from pats.run.model import source


@pytest.mark.parametrize("name", ["./nothing", "/nothing", "~/nothing", "a/b/c"])
def test_missing_folder(name):
    with pytest.raises(InputError, match="is no folder"):
        source.resolve(name)


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x", "n" * 300, "/" + "n" * 300, "a/" + "n" * 5000])
def test_a_folder_that_cannot_be_looked_at(name):
    with pytest.raises(InputError, match=r"^[^\n]{1,400}$") as error:
        source.resolve(name)
    assert "cannot be looked at" in str(error.value)


def test_missing_minilm(monkeypatch):
    monkeypatch.setattr(source, "_PACKAGE", "no_such_package")
    with pytest.raises(InputError, match="demo"):
        source.resolve("minilm")


def test_changed_minilm(monkeypatch, minilm):
    monkeypatch.setattr(source, "_MINILM_SHA256", "0" * 64)
    with pytest.raises(InputError, match="not the expected ones"):
        source.resolve("minilm")


# What a hub answers about a repository: status, error code, files.
HUB = {
    "unknown": ((404, "RepoNotFound", []), "is not on the Hugging Face hub"),
    "no revision": ((404, "RevisionNotFound", []), "check its name and revision"),
    "pickle only": ((200, "", ["config.json", "pytorch_model.bin", "vocab.txt"]), "save_pretrained"),
    "no config": ((200, "", ["model.safetensors", "vocab.txt"]), "has no config.json"),
    "broken": ((500, "", []), "cannot be asked"),
}


@pytest.fixture
def hub(request, monkeypatch):
    """A hub of our own that gives one answer to everything."""
    (status, code, files), said = HUB[request.param]

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            body = json.dumps({"id": "a/b", "siblings": [{"rfilename": name} for name in files]})
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield said
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("hub", HUB, indirect=True)
def test_hub(hub):
    with pytest.raises(InputError, match=r"^[^\n]+$") as error:
        source.resolve("nobody/no-such-model")
    assert hub in str(error.value)


def test_unreachable_hub(monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(InputError, match="cannot be asked"):
        source.resolve("nobody/no-such-model")


@pytest.mark.parametrize("name", ["two\nlines", "a b", "--x--", "n" * 200])
def test_a_name_that_no_hub_could_have(name):
    with pytest.raises(InputError, match=r"^[^\n]+$") as error:
        source.resolve(name)
    assert "no name that the Hugging Face hub could have" in str(error.value)
