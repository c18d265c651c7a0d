"""Power failures: whatever is left of a checkpoint, a run goes on from the one before or from the start."""

import json
import os
import shutil
from dataclasses import replace

import pytest

from pats import InputError
from pats.run import finetune
from pats.run.folder import checkpoint, resume
from pats.run.folder.checkpoint import Progress
from pats.run.folder.files import SEAL
from pats.run.model import exported
from support.small_run import small_run
from support.stopped_runs import Stop, lasting_content, stop_at, weights_digest

FILES = (
    "model.safetensors",
    "optimizer.pt",
    "scheduler.pt",
    "trainer_state.json",
    "rng_state.pth",
    "progress.json",
)


def cut(size):
    """Leaves so much of a file: a share, or where it is negative all but so many bytes."""

    def damage(path):
        whole = path.stat().st_size
        os.truncate(path, max(0, whole + size if size < 0 else int(size * whole)))

    return damage


def garble(path):
    """Keeps a file's size, as a file system does that wrote its length before its content."""
    path.write_bytes(bytes(path.stat().st_size))


DAMAGES = {
    "empty": cut(0),
    "a third": cut(1 / 3),
    "a byte short": cut(-1),
    "zeros": garble,
    "gone": lambda path: path.unlink(),
}


@pytest.fixture(scope="module")
def run(tiny_bert, reviews):
    return small_run(tiny_bert, reviews)


@pytest.fixture(scope="module")
def alone(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone")
    return finetune(run, out, save_steps=2), weights_digest(out)


@pytest.fixture(scope="module")
def stopped(run, tmp_path_factory):
    """A run that was stopped in its second epoch, with checkpoints at steps 6 and 8 and the best at 5."""
    out = tmp_path_factory.mktemp("stopped")
    with pytest.raises(Stop):
        finetune(run, out, on_event=stop_at("epoch", 2), save_steps=2)
    return out


@pytest.fixture
def out(stopped, tmp_path):
    return shutil.copytree(stopped, tmp_path / "out")


def begun(out, run):
    """Where a run would go on, and what is said of it; as ``finetune`` knows the run by data and weights."""
    return resume.begin(out, replace(run, **json.loads((out / "known").read_text())))


@pytest.fixture(autouse=True)
def _known(stopped, alone):
    known = {"fingerprint": alone[0].run.fingerprint, "weights": alone[0].run.weights}
    (stopped / "known").write_text(json.dumps(known))


def test_two_checkpoints_are_kept_and_sealed(out):
    found = sorted(path.name for path in (out / "checkpoint").iterdir())
    assert found == ["best-5", "checkpoint-6", "checkpoint-8", "progress.json"]
    for name in found[:3]:
        assert checkpoint.broken(out / "checkpoint" / name) is None
    listed = json.loads((out / "checkpoint" / "checkpoint-8" / SEAL).read_text())["files"]
    assert set(FILES) <= set(listed)


@pytest.mark.parametrize("file", [*FILES, SEAL])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(out, run, file, damage):
    damage(out / "checkpoint" / "checkpoint-8" / file)
    unsealed = not (out / "checkpoint" / "checkpoint-8" / SEAL).exists()
    progress, told = begun(out, run)
    if unsealed:  # as of the first version: its files are well-formed
        assert (progress.step, told) == (8, ())
        return
    assert progress.step == 6
    assert len(told) == 1
    assert "checkpoint-8/" in told[0]
    assert "goes on from step 6" in told[0]
    assert not (out / "checkpoint" / "checkpoint-8").exists()  # Trainer would write into it
    assert begun(out, run) == (progress, ())


@pytest.mark.parametrize("damage", [cut(0), cut(1 / 3), cut(-1), garble])
def test_a_damaged_progress_file_is_read_from_the_checkpoint(out, run, damage):
    damage(out / "checkpoint" / "progress.json")
    progress, told = begun(out, run)
    assert (progress.step, told) == (8, ())


@pytest.mark.parametrize(
    "broken",
    [
        ("checkpoint-6/optimizer.pt", "checkpoint-8/optimizer.pt"),
        ("best-5/model.safetensors",),
        ("best-5/config.json",),
        ("progress.json", "checkpoint-6/progress.json", "checkpoint-8/progress.json"),
    ],
)
@pytest.mark.parametrize("damage", [cut(0), cut(-1), garble])
def test_without_a_whole_one_a_run_starts_again_and_says_so(out, run, broken, damage):
    for file in broken:
        damage(out / "checkpoint" / file)
    progress, told = begun(out, run)
    assert progress == Progress(progress.run_id)
    assert "goes on from the start" in told[0]
    assert not (out / "checkpoint").exists()


@pytest.mark.parametrize("damage", [cut(0), cut(1 / 3), cut(-3)])
@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json"])
def test_of_a_checkpoint_without_a_seal_the_form_is_checked(out, run, file, damage):
    for name in ("checkpoint-6", "checkpoint-8", "best-5"):
        (out / "checkpoint" / name / SEAL).unlink()
        assert checkpoint.broken(out / "checkpoint" / name) is None
    assert begun(out, run)[0].step == 8
    damage(out / "checkpoint" / "checkpoint-8" / file)
    assert checkpoint.broken(out / "checkpoint" / "checkpoint-8") == f"{file} is cut"


@pytest.mark.parametrize(
    ("file", "resumed_at"),
    [("checkpoint-8/optimizer.pt", 6), ("best-5/model.safetensors", 0)],
)
def test_it_ends_as_a_run_left_alone(out, run, alone, file, resumed_at):
    cut(1 / 3)(out / "checkpoint" / file)
    events = []
    result = finetune(run, out, on_event=events.append, save_steps=2)
    assert events[0]["resumed_at"] == resumed_at
    assert "damaged" in events[0]["notes"][0]
    assert lasting_content(result) == lasting_content(alone[0])
    assert weights_digest(out) == alone[1]
    assert not (out / "model" / SEAL).exists()


def test_a_checkpoint_counts_once_it_is_on_the_disk(run, tmp_path, monkeypatch):
    """The files, then the folder, then what names it: that is there after a power failure."""
    done = []
    sync, write = checkpoint.files.sync, checkpoint.write_atomic

    def told(path, content):
        done.append(f"{path.parent.name}/{path.name}")
        write(path, content)

    monkeypatch.setattr(checkpoint.files, "sync", lambda folder: (done.append(folder.name), sync(folder)))
    monkeypatch.setattr(checkpoint, "write_atomic", told)
    finetune(replace(run, epochs=1), tmp_path, save_steps=4)
    name = done.index("checkpoint/progress.json")
    assert done[:name] == ["checkpoint-4/progress.json", f"checkpoint-4/{SEAL}", "checkpoint-4", "checkpoint"]


# A finished run's model --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        ("model.safetensors", cut(-1), "model/model.safetensors is cut"),
        ("model.safetensors", cut(0), "model/model.safetensors is cut"),
        ("model.safetensors", garble, "model/model.safetensors is cut"),
        ("model.safetensors", lambda path: path.unlink(), "model/model.safetensors is gone"),
        ("config.json", cut(1 / 3), "model/config.json is cut"),
        ("config.json", lambda path: path.unlink(), "model/config.json is gone"),
        ("config.json", lambda path: path.write_text("[]"), "model/config.json is cut"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_known(tiny_bert, tmp_path, file, damage, said):
    folder = shutil.copytree(tiny_bert, tmp_path / "model")
    assert exported.damage(folder) is None
    damage(folder / file)
    assert exported.damage(folder) == said


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        ("model.safetensors", cut(1 / 3), "model/model.safetensors is cut"),
        ("tokenizer.json", cut(1 / 3), "model/tokenizer.json is cut"),
        ("tokenizer.json", lambda path: path.unlink(), "model/tokenizer.json is gone"),
    ],
)
def test_the_model_of_a_finished_run_is_made_again_and_that_is_said(run, alone, tmp_path, file, damage, said):
    finetune(run, tmp_path)
    damage(tmp_path / "model" / file)
    events = []
    finetune(run, tmp_path, on_event=events.append)
    assert said in events[0]["notes"][0]
    assert weights_digest(tmp_path) == alone[1]
    assert (tmp_path / "model" / file).exists()


def test_a_run_does_not_replace_the_model_that_it_starts_from(run, tmp_path):
    finetune(replace(run, epochs=1), tmp_path)
    (tmp_path / "result.json").unlink()
    before = weights_digest(tmp_path)
    with pytest.raises(InputError, match="lies where this run puts its own"):
        finetune(replace(run, model=str(tmp_path / "model")), tmp_path)
    with pytest.raises(InputError, match="holds another run"):
        finetune(run, tmp_path)
    assert weights_digest(tmp_path) == before


def test_a_users_pretrained_model_is_not_replaced(run, tiny_bert, tmp_path):
    shutil.copytree(tiny_bert, tmp_path / "model")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for name in (str(tmp_path / "model"), run.model):
        with pytest.raises(InputError, match=r"^[^\n]+$"):
            finetune(replace(run, model=name), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_model_that_was_put_into_a_runs_folder_later_is_not_replaced(out, run, tiny_bert):
    shutil.copytree(tiny_bert, out / "model")
    with pytest.raises(InputError, match="is not of PATS's making, and this run would replace it"):
        begun(out, run)
    assert (out / "model" / "model.safetensors").exists()
    assert (out / "checkpoint" / "checkpoint-8").exists()


def test_what_a_killed_process_left_is_deleted(run, alone, out):
    for name in (".result.json.1a2b3c4d", ".pats.json.12", "checkpoint/.progress.json.0f"):
        (out / name).touch()
    begun(out, run)
    assert not [path for path in out.rglob(".*") if path.name != ".gitkeep"]


@pytest.mark.parametrize(
    "change",
    [
        {"step": 0},
        {"step": "8"},
        {"checkpoint": "../checkpoint/checkpoint-8"},
        {"checkpoint": "."},
        {"checkpoint": None},
        {"best": -1},
        {"best": 7},
        {"losses": "none"},
        {"losses": [None]},
        {"epochs": [{"epoch": 1.0, "step": "x", "train_loss": 0.1, "metrics": {}}]},
        {"order": 3},
        {"of_a_later_version": 1},
    ],
    ids=str,
)
def test_a_progress_file_that_cannot_be_is_read_from_the_checkpoint(out, run, change):
    path = out / "checkpoint" / "progress.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | change))
    assert Progress.load(out / "checkpoint") is None
    progress, told = begun(out, run)
    assert (progress.step, progress.checkpoint, told) == (8, "checkpoint-8", ())
    assert json.loads(path.read_text()) == whole


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def test_a_pipe_in_place_of_a_file_is_damage_and_not_waited_for(out, run, tiny_bert, tmp_path):
    for name in ("progress.json", "checkpoint-8/seal.json", "best-5/model.safetensors"):
        pipe(out / "checkpoint" / name)
    progress, told = begun(out, run)
    assert progress.checkpoint is None
    assert "goes on from the start" in told[0]
    model = shutil.copytree(tiny_bert, tmp_path / "model")
    pipe(model / "model.safetensors")
    assert exported.damage(model) == "model/model.safetensors is cut"
    os.mkfifo(model / "pats.json")
    assert exported.read_mark(model) is None


@pytest.mark.parametrize(
    "index", [[], {}, *({"weight_map": told} for told in ([], {"x": 3}, {"x": "../x"}, {"x": "/etc/passwd"}))]
)
def test_an_index_that_is_none_is_damage(tiny_bert, tmp_path, index):
    model = shutil.copytree(tiny_bert, tmp_path / "model")
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    assert exported.damage(model) == "model/model.safetensors.index.json is cut"


@pytest.mark.parametrize("seal", [{"files": {}}, {"files": []}, [], {"files": {"progress.json": 3}}])
def test_a_seal_that_lacks_a_file_seals_nothing(out, run, seal):
    folder = out / "checkpoint" / "checkpoint-8"
    (folder / SEAL).write_text(json.dumps(seal))
    assert checkpoint.broken(folder) is not None
    assert begun(out, run)[0].step == 6
