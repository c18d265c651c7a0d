"""Checkpoints of a run: none is gone on from whose files are not those that were written."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from random import Random

import pytest
from hypothesis import strategies as st

from pats.run import finetune
from pats.run.data import load_data
from pats.run.folder import checkpoint, resume
from pats.run.folder.files import PROGRESS, SEAL
from pats.run.model import weights
from support.fuzzing.damage import WRONG, change, places, values
from support.fuzzing.door import Fault, fuzzed, restored
from support.fuzzing.studies import Kept
from support.small_run import small_run
from support.stopped_runs import Stop, stop_at
from support.tiny_bert import make_table, make_tiny_bert

DOOR = "checkpoints"
FILES = (
    *(
        "model.safetensors",
        "optimizer.pt",
        "scheduler.pt",
        "trainer_state.json",
        "rng_state.pth",
        "config.json",
    ),
    *(PROGRESS, PROGRESS, SEAL, SEAL, "top", "top", "top", "folder", "mark", "card"),
)
FOLDERS = ("checkpoint-8", "checkpoint-8", "checkpoint-6", "best-5")
PLACES = st.tuples(st.sampled_from(FOLDERS), st.sampled_from(FILES))


@pytest.fixture(scope="module")
def stopped(door):
    """A run that was stopped in its second epoch, with checkpoints at steps 6 and 8 and the best at 5."""
    model, table = make_tiny_bert(door.root / "bert"), make_table(door.root / "texts.csv", rows=100)
    run = small_run(model, table)
    out = door.root / "stopped"
    with pytest.raises(Stop):
        finetune(run, out, on_event=stop_at("epoch", 2), save_steps=2)
    known = replace(run, fingerprint=load_data(run).fingerprint, weights=weights.digest(run.model))
    assert resume.begin(out, known)[0].step == 8
    return known, out, digests(out / "checkpoint"), Kept(out)


def digests(folder):
    """What the files of the checkpoints are, by their folder."""
    return {
        inner.name: {
            str(path.relative_to(inner)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in inner.rglob("*")
            if path.is_file() and path.name != SEAL
        }
        for inner in folder.iterdir()
        if inner.is_dir()
    }


def spoil(out, place, random, value):
    """Damage one file: by what it is told, not by what it holds, which differs from run to run."""
    name, file = place
    folder = out / "checkpoint" / name
    path = {
        "top": out / "checkpoint" / PROGRESS,
        "mark": out / "pats.json",
        "card": folder / "pats.json",
    }.get(file, folder / file)
    if file == "folder":
        shutil.rmtree(folder, ignore_errors=True)
    elif value == "a pipe":
        restored(path, None)
        path.parent.mkdir(exist_ok=True)
        os.mkfifo(path)
    elif path.is_file():
        restored(path, spoilt(path.read_bytes(), path.suffix == ".json", random, value))


def spoilt(whole, is_json, random, value):
    """What becomes of a file; None is that it is gone."""
    kind = random.choice(("edit", "edit", "edit", "cut", "zeros", "other", "grown", "gone", "text"))
    at = random.randrange(len(whole) + 1)
    if kind == "edit" and is_json:
        try:
            content = json.loads(whole)
        except ValueError:
            return None
        found = [*places(content)] if isinstance(content, dict | list) else []
        if found:
            content = change(content, random.choice(found), random.choice((KeyError, value, *WRONG)))
        if isinstance(content, dict) and random.random() < 0.3:
            content[random.choice(("version", "", "later"))] = value
        return json.dumps(content).encode()
    return {
        "cut": whole[:at],
        "zeros": whole[:at] + bytes(len(whole) - at),
        "other": whole[:at] + bytes([random.randrange(256)]) + whole[at + 1 :],
        "grown": whole + whole[at:] + b"x",
        "text": json.dumps(value).encode(),
    }.get(kind)


VALUES = st.one_of(values(), values(), values(), st.just("a pipe"))
DAMAGES = st.lists(st.tuples(PLACES, VALUES), min_size=1, max_size=3)


@fuzzed(st.tuples(DAMAGES, st.integers(0, 2**32)))
def test_a_run_goes_on_from_what_is_whole(door, stopped, tried):
    run, out, written, kept = stopped
    damages, seed = tried
    random = Random(seed)  # not hypothesis's own, as what it draws from differs from run to run
    for place, value in damages:
        spoil(out, place, random, value)
    begun = []
    try:
        refused = door.tried(lambda: begun.append(resume.begin(out, run)), [out])
        if refused is None:
            progress, _ = begun[0]
            if progress.checkpoint is not None:
                now = digests(out / "checkpoint")
                if progress.checkpoint != f"checkpoint-{progress.step}":
                    raise Fault(f"it goes on from {progress.checkpoint!r} as step {progress.step!r}")
                sealed = (out / "checkpoint" / progress.checkpoint / SEAL).exists()
                if sealed and now.get(progress.checkpoint) != written[progress.checkpoint]:
                    raise Fault("it goes on from a checkpoint that is not what was written")
                progress.save(out / "checkpoint")  # it is of the types that it says
                assert checkpoint.Progress.load(out / "checkpoint") == progress
    finally:
        kept.put_back()
