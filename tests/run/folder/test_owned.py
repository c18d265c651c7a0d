"""What PATS may write into: a folder of its own, a new one, and nothing of anybody else's."""

import errno
import json
import os
from pathlib import Path

import pytest

from pats import InputError
from pats.run.folder import owned
from pats.run.spec import Run
from support.made_results import make_result

RUN = Run(task="rte")


def put(folder, files):
    """Write files by their path in a folder; one that ends in a slash is an empty folder."""
    for name, content in files.items():
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def tree(folder):
    """Every file with its content, every link with its target."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


MARKED = {"pats.json": {"format": 1, "what": "run"}}
CARD = {"run_id": "x", "step": 3}
SPEC = {"run": {}, "lease": {}}
EVENT = '{"event": "start", "time": 1.0}\n'
STUDY = {"study.json": {"study": {}, "cells": []}}

FOREIGN = {
    "a project": {"main.py": "x", "model/weights.bin": "x"},
    "a model of the user's": {"model/model.safetensors": "x"},
    "an empty folder called model": {"model/": ""},
    "checkpoints of another program": {"checkpoint/checkpoint-500/optimizer.pt": "x"},
    "a result of another program": {"result.json": {"accuracy": 1.0}},
    "a result that is no object": {"result.json": "[1, 2]"},
    "events of another program": {"events.jsonl": "[1]\n"},
    "runs of another program": {"runs/Nov26_host/events.out": "x"},
    "a study of another program": {"study.json": {"study": "of mice"}},
    "its own pats.json": {"pats.json": {"name": "my config"}},
    "a pats.json that is no JSON": {"pats.json": "x"},
    "a result of ours beside a model that is not": {
        "result.json": make_result(RUN, [0.5]).to_json(),
        "model/model.safetensors": "x",
    },
    "a folder of ours called model": {"model/pats.json": {"format": 1, "what": "run"}},
    "an exported model": {"pats.json": CARD, "config.json": {}},
    "one folder of ours, and a file": {"rte/pats.json": MARKED["pats.json"], "notes.txt": "x"},
    "pages, and a file": {"pats.json": {"format": 1, "what": "page", "files": ["a.md"]}, "b.md": "x"},
    "a newer version's": {"pats.json": {"format": 2, "what": "run"}},
}


@pytest.mark.parametrize("what", [owned.RUN, owned.STUDY])
@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN)
def test_what_is_not_ours_is_refused_and_stays(tmp_path, files, what):
    put(tmp_path, files)
    before = tree(tmp_path)
    with pytest.raises(InputError, match=r"^[^\n]+$"):
        owned.claim(tmp_path, what)
    assert tree(tmp_path) == before


OURS = {
    "nothing": ({}, "run study"),
    "what file systems put there": ({".DS_Store": "x", "lost+found/": ""}, "run study"),
    "folders of ours": ({f"a/{name}": text for name, text in (MARKED | STUDY).items()}, "run study"),
    "pages of ours": ({"pats.json": {"what": "page", "files": ["a.md"]}, "a.md": "x"}, "run study"),
    "a run": (MARKED | {"model/config.json": {}, "notes.txt": "x"}, "run"),
    "a run of the first version": (
        {"result.json": make_result(RUN, [0.5]).to_json(), "model/pats.json": CARD, "events.jsonl": EVENT},
        "run",
    ),
    "one that was killed": ({"events.jsonl": EVENT, "checkpoint/best-5/pats.json": CARD}, "run"),
    "one that was killed early": ({"events.jsonl": ""}, "run"),
    "one that was stopped": ({"checkpoint/progress.json": {"run_id": "x"}}, "run"),
    "an attempt of a study": ({"spec.json": SPEC, "worker.json": "{}"}, "run"),
    "a study": ({"pats.json": {"format": 1, "what": "study"}}, "study"),
    "a study of the first version": (STUDY | {"model/pats.json": CARD}, "study"),
    "one of several tasks": (STUDY | {"model/cola/pats.json": CARD}, "study"),
    "one that was cut": ({"study.json": "{", "runs/ab/attempts/": ""}, "study"),
    "sizes of the first version": ({"data_size.json": {"points": []}, "0.5/runs/ab/attempts/": ""}, "study"),
}  # fmt: skip


@pytest.mark.parametrize("what", [owned.RUN, owned.STUDY])
@pytest.mark.parametrize(("files", "allowed"), OURS.values(), ids=OURS)
def test_what_is_ours_is_marked_and_used_again(tmp_path, files, allowed, what):
    put(tmp_path, files)
    before = tree(tmp_path)
    if what not in allowed.split():
        with pytest.raises(InputError, match="name another folder"):
            owned.claim(tmp_path, what)
        assert tree(tmp_path) == before
        return
    for _ in range(2):
        owned.claim(tmp_path, what)
    assert json.loads((tmp_path / "pats.json").read_text())["what"] == what
    assert tree(tmp_path) | {"pats.json": b""} == before | {"pats.json": b""}


@pytest.mark.parametrize("name", ["model", "checkpoint", "result.json", "events.jsonl", "model/cola", "runs"])
def test_links_in_a_folder_of_ours_are_neither_followed_nor_replaced(tmp_path, name):
    (tmp_path / "users").mkdir()
    out = put(tmp_path / "out", {"pats.json": {"what": "study"}})
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).symlink_to(tmp_path / "users")
    with pytest.raises(InputError, match="is a symbolic link"):
        owned.claim(out, owned.STUDY)
    assert (out / name).is_symlink()


def test_a_pipe_in_a_folder_of_ours_is_not_waited_for(tmp_path):
    out = put(tmp_path / "out", {"pats.json": {"what": "run"}})
    os.mkfifo(out / "events.jsonl")
    with pytest.raises(InputError, match=r"events\.jsonl is a pipe or a device"):
        owned.claim(out, owned.RUN)


def deny(number):
    def write(*_):
        raise OSError(number, os.strerror(number), "x")

    return write


PLACES = {
    "a NUL": (lambda tmp: tmp / "a\0b", "NUL"),
    "no UTF-8": (lambda tmp: tmp / "a\udcff", "is no UTF-8"),
    "300 characters": (lambda tmp: tmp / ("x" * 300), "File name too long"),
    "the kernel's": (lambda tmp: Path("/proc/x"), "cannot be written to"),
    "under a file": (lambda tmp: put(tmp, {"f": "x"}) / "f" / "out", "Not a directory"),
    "a file": (lambda tmp: put(tmp, {"f": "x"}) / "f", "Not a directory"),
}


@pytest.mark.parametrize(
    "use", [lambda out: owned.claim(out, owned.RUN), lambda out: owned.page(out, ["a.md"])]
)
@pytest.mark.parametrize(("place", "said"), PLACES.values(), ids=PLACES)
def test_places_that_cannot_be_written_are_one_sentence(tmp_path, place, said, use):
    with pytest.raises(InputError, match=said):
        use(place(tmp_path))


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.EROFS, InputError), (errno.EACCES, InputError), (errno.ENOSPC, OSError), (errno.EDQUOT, OSError)],
)
def test_a_folder_that_cannot_be_written_is_told_before_anything_runs(tmp_path, monkeypatch, number, error):
    owned.claim(tmp_path, owned.RUN)
    monkeypatch.setattr(os, "fsync", deny(number))
    with pytest.raises(error) as raised:
        owned.claim(tmp_path, owned.RUN)  # also where the folder is there already
    assert isinstance(raised.value, InputError) == (error is InputError)
    assert [path.name for path in tmp_path.iterdir()] == ["pats.json"]


def test_pages_go_beside_what_is_there_and_never_over_it(tmp_path):
    put(tmp_path, {"notes.txt": "mine", "report.md": "mine"})
    with pytest.raises(InputError, match=r"report\.md is there, and not of PATS's making"):
        owned.page(tmp_path, ["report.html", "report.md"])
    assert tree(tmp_path) == {"notes.txt": b"mine", "report.md": b"mine"}
    for _ in range(2):  # its own pages are replaced
        owned.page(tmp_path, ["size.html"])
        (tmp_path / "size.html").write_text("x")
    with pytest.raises(InputError, match="holds what is not of PATS's making"):
        owned.claim(tmp_path, owned.RUN)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (
            {"sensitivity.json": {"models": [1]}, "sensitivity.md": "x"},
            ["sensitivity.json", "sensitivity.md"],
        ),
        ({"report.html": '<meta name="generator" content="PATS 0.1.0">', "report.md": "x"}, ["report.md"]),
        (STUDY | {"report.md": "x"}, ["report.md"]),
    ],
)
def test_pages_of_the_first_version_are_replaced(tmp_path, files, names):
    owned.page(put(tmp_path, files), names)


def test_a_page_is_not_put_into_a_model(tmp_path):
    with pytest.raises(InputError, match="holds a model"):
        owned.page(put(tmp_path, {"pats.json": CARD}), ["report.md"])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_text("mine"), "not of PATS's making"),
        (lambda path: path.mkdir(), "not of PATS's making"),
        (lambda path: os.mkfifo(path), "not of PATS's making"),
        (lambda path: path.symlink_to("elsewhere"), "symbolic link"),
    ],
)
def test_a_file_that_is_not_ours_stays(tmp_path, make, said):
    make(tmp_path / "out.csv")
    with pytest.raises(InputError, match=said):
        owned.file(tmp_path / "out.csv", lambda path: path.read_text() == "ours")
    assert os.listdir(tmp_path) == ["out.csv"]


def test_a_file_of_ours_may_be_replaced(tmp_path):
    (tmp_path / "out.csv").write_text("ours")
    owned.file(tmp_path / "out.csv", lambda path: path.read_text() == "ours")
    owned.file(tmp_path / "new" / "out.csv", lambda path: False)
    assert os.listdir(tmp_path / "new") == []


@pytest.mark.parametrize("error", [RuntimeError("PytorchStreamWriter failed"), ValueError("I/O error")])
@pytest.mark.parametrize("full", [True, False])
def test_a_full_disk_is_told_as_one_whatever_a_library_makes_of_it(tmp_path, monkeypatch, error, full):
    if full:
        monkeypatch.setattr(os, "fsync", deny(errno.ENOSPC))
    with pytest.raises(OSError if full else type(error)) as raised, owned.full_disk_as_oserror(tmp_path):
        raise error
    assert getattr(raised.value, "errno", None) == (errno.ENOSPC if full else None)
