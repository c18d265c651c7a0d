"""A real Ctrl-C on a script that compares a frame, at its process, its group, or one of its workers."""

import os
import signal
import subprocess
import sys

import pytest

from support.killed_studies import alive, journal_lines, living_workers, results_by_run, wait_for
from support.tiny_bert import make_table, make_tiny_bert

pytest.importorskip("pandas")
pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

SCRIPT = """
import pandas, pats

frame = pandas.read_csv("texts.csv").rename(columns={"label": "y"})
more = dict(methods=["vanilla", "pats"], seeds=2, lr=3e-3, epochs=12, batch_size=8, baselines=["majority"])
result = pats.compare(data=frame, label="y", out="out", models="bert", workers=2, progress=False, **more)
print(result.failures, result.page.verdict)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("ctrl_c")
    make_tiny_bert(made / "bert")
    make_table(made / "texts.csv", rows=160)
    (made / "script.py").write_text(SCRIPT)
    return made


def hears_ctrl_c():
    """A shell starts what runs in the background deaf to SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(inputs, cwd):
    for name in ("bert", "texts.csv", "script.py"):
        if not (cwd / name).exists():
            (cwd / name).symlink_to(inputs / name)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command, pipe = [sys.executable, "script.py"], subprocess.PIPE
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
        preexec_fn=hears_ctrl_c,
    )


@pytest.fixture(scope="module")
def left_alone(folder, tmp_path_factory):
    cwd = tmp_path_factory.mktemp("left_alone")
    told, error = start(folder, cwd).communicate()
    assert told, error
    return told, results_by_run(cwd / "out")


def in_the_middle(cwd, process):
    assert wait_for(lambda: any('"epoch"' in line for line in journal_lines(cwd / "out")), process)
    return living_workers(cwd / "out")


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["process", "group"])
def test_a_script_ends_in_one_sentence_and_the_same_call_goes_on(folder, left_alone, tmp_path, send):
    process = start(folder, tmp_path)
    children = in_the_middle(tmp_path, process)
    send(process.pid, signal.SIGINT)
    told, error = process.communicate(timeout=60)
    assert (told, process.returncode) == ("", -signal.SIGINT)
    assert error.count("Traceback") == 1  # of the script: Python shows where
    assert error.strip().splitlines()[-1] == (
        "KeyboardInterrupt: stopped; the same call goes on where this one was, in out"
    )
    assert children
    wait_for(lambda: not any(alive(child) for child in children), seconds=10)
    before = journal_lines(tmp_path / "out")
    told, error = start(folder, tmp_path).communicate()
    assert told == left_alone[0], error
    assert results_by_run(tmp_path / "out") == left_alone[1]
    assert set(before) <= set(journal_lines(tmp_path / "out"))


def test_a_worker_alone_is_made_again(folder, left_alone, tmp_path):
    process = start(folder, tmp_path)
    for child in in_the_middle(tmp_path, process)[:1]:
        os.kill(child, signal.SIGINT)
    told, error = process.communicate()
    assert (told, error) == (left_alone[0], "")
    assert results_by_run(tmp_path / "out") == left_alone[1]
