"""Places that cannot be written to, and disks that fill up."""

import subprocess

import pytest

from pats.cli import main
from support.killed_studies import mounted_disk


@pytest.mark.parametrize("verb", ["run", "compare"])
def test_out_that_is_a_file_is_one_sentence(verb, inputs, tmp_path, capsys):
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    shared = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert")]
    assert (
        main([verb, *shared, "--lr", "1e-3", "--epochs", "1", "--quiet", "--out", str(tmp_path / "taken")])
        == 2
    )
    err = capsys.readouterr().err
    assert "taken" in err
    assert err.count("\n") == 1
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "mine"


OUTS = {
    "a users folder": (lambda tmp: made_by_a_user(tmp / "proj"), "holds what is not of PATS's making"),
    "a link to nowhere": (lambda tmp: linked(tmp / "link", tmp / "gone"), "cannot be written to"),
    "NUL": (lambda tmp: tmp / "a\0b", "NUL"),
    "300 characters": (lambda tmp: tmp / ("x" * 300), "File name too long"),
    "the kernels": (lambda tmp: "/proc/x", "cannot be written to"),
    "below a file": (lambda tmp: made_by_a_user(tmp / "proj") / "model/weights.bin/out", "Not a directory"),
}  # fmt: skip


def made_by_a_user(folder):
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights.bin").write_text("mine")
    return folder


def linked(link, target):
    link.symlink_to(target)
    return link


@pytest.mark.parametrize("verb", ["run", "compare", "data-size"])
@pytest.mark.parametrize(("place", "said"), OUTS.values(), ids=OUTS)
def test_an_out_that_cannot_be_used_is_one_sentence_before_training(
    inputs, tmp_path, capsys, monkeypatch, verb, place, said
):
    monkeypatch.setattr("pats.run.model.classifier.load", lambda *_: pytest.fail("it went on"))
    argv = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--quiet", "--seed"]
    argv[-1:] = [] if verb == "run" else ["--seeds", "1"]
    assert main([verb, *argv, "--out", str(place(tmp_path))]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert [path.read_text() for path in tmp_path.rglob("*") if path.is_file()] in ([], ["mine"])


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


@pytest.mark.parametrize("kilobytes", [50, 150, 300, 500, 700])
def test_a_disk_that_fills_up_is_one_sentence_and_the_run_goes_on(inputs, tmp_path, capsys, kilobytes):
    argv = ["run", "--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--epochs", "3"]
    argv += ["--lr", "1e-3", "--preset", "paper", "--quiet"]  # a checkpoint an epoch
    with mounted_disk(tmp_path / "disk", kilobytes / 1024) as small:
        assert main([*argv, "--out", str(small / "out")]) == 1
        assert capsys.readouterr().err == (
            "pats: the disk is full: make room, and start the same command again; it goes on\n"
        )
        remount(small, "size=50m")
        assert main([*argv, "--out", str(small / "out")]) == 0


@pytest.mark.parametrize("verb", ["run", "compare"])
def test_a_file_system_that_is_read_only_is_told_before_training(inputs, tmp_path, capsys, monkeypatch, verb):
    monkeypatch.setattr("pats.run.model.classifier.load", lambda *_: pytest.fail("it went on"))
    argv = [verb, "--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--quiet"]
    with mounted_disk(tmp_path / "disk", 1) as folder:
        (folder / "empty").mkdir()
        remount(folder, "ro")
        for name in ("empty", "new", "new/deeper"):
            assert main([*argv, "--out", str(folder / name)]) == 2
            err = capsys.readouterr().err
            assert "Read-only file system" in err
            assert err.count("\n") == 1
