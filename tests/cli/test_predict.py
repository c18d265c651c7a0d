import csv
import io
import json
import signal
import subprocess
import sys
import time

import pytest

from pats.cli import main


def test_run_predict_and_json(trained, inputs, capsys):
    assert (trained / "model" / "config.json").exists()
    # Run again, it returns the result that stands there.
    arguments = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--out", str(trained)]
    assert main(["run", *arguments, "--lr", "1e-3", "--epochs", "1", "--quiet", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["status"] == "done"
    table, out = str(inputs / "texts.csv"), inputs / "labelled.csv"
    assert main(["predict", str(trained / "model"), table, "--out", str(out)]) == 0
    assert "80 rows in" in capsys.readouterr().out
    assert len(out.read_text().splitlines()) == 81
    assert main(["predict", str(trained / "model"), table, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["label"] for row in rows} <= {"good", "bad"}


def fed(monkeypatch, content):
    """Standard input with these bytes."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_a_pipe(trained, monkeypatch, capsys, kind):
    content = {
        "csv": b"id,text\n7,a fine day\n8,\n",
        "tsv": b"id\ttext\n7\ta fine day\n8\t\n",
        "jsonl": b'{"id": 7, "text": "a fine day"}\n{"id": 8, "text": null}\n',
    }[kind]
    fed(monkeypatch, content)
    model = str(trained / "model")
    assert main(["predict", model, "-", "--format", kind, "--top-k", "1"]) == 0
    told = capsys.readouterr()
    if kind == "jsonl":
        rows = [json.loads(line) for line in told.out.splitlines()]
    else:
        rows = list(csv.DictReader(io.StringIO(told.out), delimiter="," if kind == "csv" else "\t"))
    assert [list(row) for row in rows] == 2 * [["id", "text", "row", "prediction", "p"]]
    assert [str(row["id"]) for row in rows] == ["7", "8"]
    assert told.err.splitlines()[-3:-1] == [
        "The text is column 'text', as in training.",
        "Warning: 1 of 2 rows have no text, and get an answer all the same.",
    ]
    assert told.err.splitlines()[-1].startswith("2 rows written: ")


REFUSED = {
    "an empty pipe": ("{model} -", b"", "standard input is empty"),
    "a broken pipe": ("{model} -", b'text\n"a', "standard input"),
    "no column": (
        "{model} -",
        b"a,b\n1,2\n",
        "but standard input has the columns a, b",
    ),
    "two ways out": ("{model} {table} --out - --json", b"", "both write to standard output"),
    "a format of a file": ("{model} {table} --format csv", b"", "--format is for standard output"),
    "an ending": ("{model} {table} --out labelled.xml", b"", "ends in .csv, .tsv, .jsonl or .parquet"),
    "no classes": ("{model} {table} --top-k 0 --json", b"", "top_k is 0"),
    "a number": ("{model} {table} --batch-size 0 --json", b"", "batch_size is 0"),
    "no model there": ("{table} {table}", b"", "is no folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_sentence(trained, inputs, tmp_path, monkeypatch, capsys, case):
    monkeypatch.chdir(tmp_path)
    command, content, said = REFUSED[case]
    fed(monkeypatch, content)
    words = command.format(model=trained / "model", table=inputs / "texts.csv").split()
    assert main(["predict", *words]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[-1].startswith("pats: ")
    assert said in told.err
    assert "/tmp/pats-" not in told.err
    assert list(tmp_path.iterdir()) == []


def take_interrupts():
    """In the new process: a shell that starts its jobs in the background has them ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_file(trained, tmp_path, number, code):
    table = tmp_path / "t.csv"
    table.write_text("text\n" + "the day was very fine and a walk with song\n" * 60_000)
    command = [sys.executable, "-m", "pats.cli", "predict", str(trained / "model"), str(table)]
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, **pipes, text=True, preexec_fn=take_interrupts)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".t.predicted.csv.*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err
    assert out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.parametrize("table", ["", ".", "/"])
def test_a_table_without_a_name_is_one_sentence(trained, capsys, table):
    assert main(["predict", str(trained / "model"), table]) == 2
    assert capsys.readouterr().err == f"pats: {table!r} is no file: pass a file that holds the table\n"
