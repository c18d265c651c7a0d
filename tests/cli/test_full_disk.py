"""A disk that fills up while a verb writes: one sentence, every file of before or whole, and it goes on."""

import errno
import os
import shutil

import pytest

from pats import Study
from pats.cli import main
from pats.measure import export_onnx
from pats.run.spec import Run
from support.made_results import BETTER, PLAIN
from support.stored_studies import store_study

VERBS = {
    "report": ["report", "{study}"],
    "a CSV of results": ["export", "{study}", "{out}/runs.csv"],
    "Parquet of results": ["export", "{study}", "{out}/runs.parquet"],
    "predictions as CSV": ["predict", "{model}", "{table}", "--out", "{out}/p.csv", "--force"],
    "predictions as Parquet": ["predict", "{model}", "{table}", "--out", "{out}/p.parquet", "--force"],
    "explain": ["explain", "{model}", "--text", "the day was fine", "--out", "{out}/e.html"],
    "export-onnx": ["export-onnx", "{model}", "--out", "{out}/m.onnx", "--force"],
}
WITH_ONNX = all(map(export_onnx.installed, export_onnx.PACKAGES))


@pytest.fixture
def words(inputs, trained, tmp_path):
    """What stands for the places in VERBS; of all these nothing but ``study`` and ``out`` may change."""
    study = Study(tasks=("rte",), methods=("vanilla", "pats"), seeds=3, lr=1e-4, run=Run(), baselines=())
    store_study(tmp_path / "study", study, {"vanilla": PLAIN, "pats": BETTER})
    (tmp_path / "out").mkdir()
    places = {"study": tmp_path / "study", "out": tmp_path / "out", "model": trained / "model"}
    return places | {"table": inputs / "texts.csv"}


def _files(*folders):
    return {file: file.read_bytes() for one in folders for file in sorted(one.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("verb", VERBS)
def test_every_file_is_of_before_or_whole(words, monkeypatch, capsys, verb):
    if verb == "export-onnx" and not WITH_ONNX:
        pytest.skip("needs the extra onnx")
    asked, folders = [word.format(**words) for word in VERBS[verb]], (words["study"], words["out"])
    empty, synced = _files(*folders), 0
    assert main(asked) == 0
    whole, fsync = _files(*folders), os.fsync
    capsys.readouterr()

    def count(handle):
        nonlocal synced
        synced += 1
        if synced == full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", count)
    for full in range(1, 100):
        for folder in folders:
            shutil.rmtree(folder)
            folder.mkdir()
        for file, content in empty.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        synced = 0
        code, told = main(asked), capsys.readouterr()
        if synced < full:
            break
        assert code == 1
        assert told.err.splitlines()[-1].startswith("pats: the disk is full: make room, and start the same")
        assert "Traceback" not in told.err
        left = _files(*folders)
        assert empty.items() <= left.items() <= whole.items()
    assert code == 0
    assert full > 1
    assert _files(*folders) == whole
