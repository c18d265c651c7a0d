"""The suite itself can fail: doors with a planted fault, each of which must be found."""

import os
import pickle
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest
from hypothesis import strategies as st

from fuzz import test_glue
from pats import InputError
from support.fuzzing.damage import TEXTS
from support.fuzzing.door import Door, Fault, fuzzed
from support.fuzzing.guard import Hung


@pytest.fixture
def door(tmp_path):
    made = Door("control", tmp_path, seconds=1.0)
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "a").write_text("a")
    return made


def refuse(sentence):
    raise InputError(sentence)


def forever():
    while True:
        try:
            time.sleep(0.01)
        except Exception:
            continue


def swallowed():
    """Asks the network, and hides that it failed."""
    try:
        socket.getaddrinfo("localhost", 1)
    except OSError:
        return


PLANTED = {
    "another exception": (lambda door: {}["key"], KeyError),
    "two lines": (lambda door: refuse("one\ntwo"), Fault),
    "no words": (lambda door: refuse(""), Fault),
    "a hang": (lambda door: forever(), Hung),
    "a write beside the folder": (lambda door: (door.root / "x").write_text("x"), Fault),
    "a write over an input": (lambda door: (door.root / "inputs" / "a").write_text("b"), Fault),
    "a write and a removal": (lambda door: [(door.root / "x").touch(), (door.root / "x").unlink()], Fault),
    "a write far away": (lambda door: Path(tempfile.gettempdir(), "../../planted").write_text("x"), Fault),
    "a write through a link": (lambda door: through_a_link(door), Fault),
    "a folder": (lambda door: (door.root / "x").mkdir(), Fault),
    "a removal": (lambda door: (door.root / "inputs" / "a").unlink(), Fault),
    "a renaming": (lambda door: (door.root / "inputs" / "a").rename(door.root / "b"), Fault),
    "a temporary file": (lambda door: tempfile.mkstemp(), Fault),
    "the network": (lambda door: swallowed(), Fault),
    "a process": (lambda door: subprocess.run(["true"]), Fault),
    "a pickle": (lambda door: pickle.loads(pickle.dumps(Fault)), Fault),
}


def through_a_link(door):
    door.out.mkdir()
    (door.out / "link").symlink_to(door.root / "inputs")
    (door.out / "link" / "b").write_text("x")


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_fault_is_found(door, kind):
    planted, found = PLANTED[kind]
    with pytest.raises(found):
        door.tried(lambda: planted(door))


@pytest.mark.parametrize(
    "harmless",
    [
        lambda door: None,
        lambda door: refuse("it is no table: pass one"),
        lambda door: [door.out.mkdir(), (door.out / "x").write_text("x")],
        lambda door: (door.root / "inputs" / "a").read_text(),
        lambda door: tempfile.TemporaryDirectory().cleanup(),
        lambda door: open(os.devnull, "w").close(),
    ],
)
def test_what_is_allowed_is_no_fault(door, harmless):
    door.tried(lambda: harmless(door))


@pytest.mark.parametrize(
    ("verb", "found"),
    [
        (lambda argv: {}["key"], KeyError),
        (lambda argv: 1, Fault),
        (lambda argv: loud(), Fault),
        (lambda argv: 3, Fault),
    ],
)
def test_a_planted_fault_of_a_verb_is_found(door, monkeypatch, verb, found):
    monkeypatch.setattr("pats.cli.env.main", verb)
    with pytest.raises(found):
        door.command(["env"])


def loud():
    sys.stderr.write("Traceback (most recent call last):\n")
    return 0


@pytest.mark.parametrize("letter", "aZ0")
def test_generated_inputs_find_a_rare_fault(door, letter):
    """A door that fails for one kind of text in many."""

    def reader(text):
        if len(text) > 2 and not text.isascii():
            raise UnicodeError(letter)

    @fuzzed(st.lists(TEXTS, max_size=3))
    def all_of_it(texts):
        for text in texts:
            door.tried(partial(reader, text))

    with pytest.raises(UnicodeError):
        all_of_it()


def careless(task):
    """The reader of labels without its check of what they are."""
    numbers = {value: float(number) for number, value in enumerate(task.values)}
    return numbers.__getitem__ if task.labels else float


def test_a_fault_in_the_package_is_found_at_its_door(door, monkeypatch):
    monkeypatch.setattr("pats.tasks.glue_files._label_reader", careless)
    with pytest.raises((KeyError, ValueError, ExceptionGroup)) as found:
        test_glue.test_a_glue_folder_is_read_or_refused(door)
    assert not isinstance(found.value, InputError)
