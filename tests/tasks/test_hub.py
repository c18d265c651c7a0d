import json
import os
import subprocess
import sys
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from pats._errors import InputError
from pats.tasks import GLUE, Split, load

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PREFIX = "/datasets/nyu-mll/glue/resolve/{}/"


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's protocol that a download uses: a file with its commit and ETag."""

    files: dict[str, bytes]

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        path = self.path.partition("?")[0]
        name = next(
            (path.removeprefix(p) for p in map(PREFIX.format, ("main", COMMIT)) if path.startswith(p)), ""
        )
        content = self.files.get(name)
        self.send_response(404 if content is None else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{abs(hash(content)):x}"')
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if body and content:
            self.wfile.write(content)

    def log_message(self, *_):
        return


def parquet(columns, names=None):
    table = pa.table(columns)
    if names is not None:
        features = {"label": {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Served", (Hub,), {"files": {}}))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def fetch(hub, tmp_path, monkeypatch):
    # The client reads its environment once, when it is imported.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    endpoint = f"http://127.0.0.1:{hub.server_port}"
    template = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)

    def run(files, task, *need, offline=False):
        hub.RequestHandlerClass.files = files
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*officially")
            return load(task, need=need)

    return run


RTE = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [0, 1]}
FILE = "{}/{}-00000-of-00001.parquet"


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("entailment", "not_entailment"), (0, 1)),
        (("not_entailment", "entailment"), (1, 0)),
        (None, (0, 1)),
    ],
)
def test_classes_are_mapped_by_name(fetch, names, labels):
    files = {FILE.format("rte", "validation"): parquet(RTE, names)}
    data = fetch(files, "rte", "dev")
    assert data.splits == {"dev": Split(("a", "b"), ("c", "d"), labels)}
    assert (data.labels, data.source) == (GLUE["rte"].labels, "hub")
    assert COMMIT in data.notes[0]
    assert "2 rows" in data.notes[1]
    assert "277" in data.notes[1]


@pytest.mark.parametrize(
    ("task", "columns", "names", "splits"),
    [
        (
            "mnli",
            {"premise": ["a"], "hypothesis": ["b"], "label": [1]},
            ("entailment", "neutral", "contradiction"),
            ["train", "validation_matched", "validation_mismatched"],
        ),
        ("stsb", {"sentence1": ["a"], "sentence2": ["b"], "label": [2.5]}, None, ["train", "validation"]),
        ("sst2", {"sentence": ["a"], "label": [1]}, ("negative", "positive"), ["train", "validation"]),
    ],
)
def test_splits_and_columns(fetch, task, columns, names, splits):
    files = {FILE.format(task, split): parquet(columns, names) for split in splits}
    data = fetch(files, task, "train", "dev")
    assert list(data.splits) == [split.replace("validation", "dev") for split in splits]
    expected = Split(("a",), ("b",) if len(columns) == 3 else None, tuple(columns["label"]))
    assert all(split == expected for split in data.splits.values())


BAD = parquet({**RTE, "label": [0, -1]}, GLUE["rte"].labels)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (None, ["rte/validation", "--data FOLDER", "RTE/"]),
        (parquet(RTE)[:-40], ["damaged or cut"]),
        (parquet({**RTE, "sentence3": RTE["sentence1"]}, ("yes", "no")), ["yes, no", "entailment"]),
        (parquet({"premise": ["a"], "label": [0]}), ["'sentence1'", "premise", "--data FOLDER"]),
        (BAD, ["row 2", "-1", "--data FOLDER"]),
    ],
)
def test_what_the_hub_may_answer_wrongly(fetch, content, parts):
    files = {} if content is None else {FILE.format("rte", "validation"): content}
    with pytest.raises(InputError) as error:
        fetch(files, "rte", "dev")
    assert all(part in str(error.value) for part in parts)
    assert "\n" not in str(error.value)


def test_without_a_network_the_cache_serves(fetch):
    files = {FILE.format("rte", "validation"): parquet(RTE, GLUE["rte"].labels)}
    with pytest.raises(InputError, match="--data FOLDER"):
        fetch(files, "rte", "dev", offline=True)
    once = fetch(files, "rte", "dev")
    assert fetch({}, "rte", "dev", offline=True) == once


def test_the_usual_variables_name_the_hub_and_its_cache(hub, tmp_path):
    hub.RequestHandlerClass.files = {FILE.format("rte", "validation"): parquet(RTE)}
    environment = os.environ | {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "0",
        "NO_PROXY": "127.0.0.1",
    }
    code = "from pats.tasks import load; print(load('rte', need=['dev']).splits['dev'].text)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "('a', 'b')\n"
    assert list(tmp_path.rglob("*.parquet"))
