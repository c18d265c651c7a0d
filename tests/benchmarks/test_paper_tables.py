"""The configurations of the paper's tables: what they resolve to, and one of them from end to end."""

import io
from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from benchmarks.paper import hours
from pats import paper
from pats.cli import compare as compare_verb
from pats.cli import sweep as sweep_verb
from pats.study import Study
from pats.study.compare import compare
from pats.study.sweep import Sweep
from support.hub_server import serving
from support.inline_placer import InlinePlacer
from support.tiny_bert import make_tiny_bert

MODELS = {"bert-base": "bert-base-uncased", "roberta-large": "roberta-large"}
METHODS = ("vanilla", "sage", "noisytune", "pats-paper")


@pytest.fixture
def planned(monkeypatch):
    """What a verb makes of a configuration, without running it."""
    made = []

    def stop(plan, out, **how):
        made.append(plan)
        raise SystemExit(0)

    monkeypatch.setattr(compare_verb, "compare", stop)
    monkeypatch.setattr(sweep_verb, "sweep", stop)

    def plan(name, *more):
        verb = sweep_verb if name.startswith("sweep") else compare_verb
        with pytest.raises(SystemExit):
            verb.main(["--config", f"benchmarks/paper/{name}.yaml", "--quiet", *more])
        return made[-1]

    monkeypatch.chdir(hours.FOLDER.parents[1])
    return plan


@pytest.mark.parametrize("name", hours.TABLES)
def test_table_1(planned, name):
    made = planned(name)
    assert isinstance(made, Study)
    assert made == hours.study(hours.settings(name))
    assert (made.tasks, made.methods, made.seed_list) == (paper.TASKS, METHODS, tuple(range(5)))
    assert made.models == (MODELS[name],)
    run = made.run
    assert (run.optimizer, run.schedule, run.warmup, run.batch_size) == ("adamax", "linear", 0.1, 32)
    assert (run.epochs, run.clip, run.weight_decay, run.max_length, run.fraction) == (10, 1.0, 0.0, 128, 1.0)
    assert made.options == {}

    tuning = made.tuning()
    assert Counter(label for _, _, label in tuning) == {"sage": 8, "noisytune": 8}
    assert made.tuning_seed not in made.seed_list
    cells = made.cells(tuned=dict.fromkeys(tuning, made.lr_grid[0]))
    assert sum(len(cell.runs) for cell in cells if not cell.control) == 8 * 4 * 5
    for cell in cells:
        if cell.label in ("vanilla", "pats-paper"):
            assert cell.lr == paper.learning_rate(cell.task, MODELS[name], cell.method)
    differ = [
        task
        for task in paper.TASKS
        if paper.learning_rate(task, MODELS[name], "vanilla")
        != paper.learning_rate(task, MODELS[name], "pats-paper")
    ]
    assert [cell.task for cell in cells if cell.control] == differ
    both = {paper.learning_rate(task, MODELS[name], method) for task in paper.TASKS for method in METHODS}
    assert {*made.lr_grid} == both - {None}
    needed = hours.compared(name)
    assert needed.runs == 160 + 5 * len(differ)


@pytest.mark.parametrize("name", hours.SWEEPS)
def test_table_3(planned, name):
    made = planned(name)
    assert isinstance(made, Sweep)
    assert made.study.tasks == paper.TASKS
    assert made.study.models == (MODELS[name.removeprefix("sweep-")],)
    assert made.space_of("pats-paper", "pats-paper") == paper.RANGES
    assert made.space_of("vanilla", "vanilla") == {"lr": paper.RANGES["lr"]}
    needed = hours.searched(name)
    assert needed.runs == 8 * 2 * 5
    assert needed.trials == 8 * 2 * 3 * (9 + 3 + 1)  # three brackets of nine


def test_the_trial_with_another_model_is_one_task_and_two_seeds(planned):
    words = hours.TRIAL.split()
    assert words[:4] == ["pats", "compare", "--config", "benchmarks/paper/bert-base.yaml"]
    made = planned("bert-base", *words[4:])
    assert (made.tasks, made.models, made.seed_list) == (("rte",), ("MPNET",), (0, 1))
    assert made.tuning() == {}
    assert len(made.runs()) == 4 * 2


def test_hours_follow_from_the_measured_steps():
    small, large = map(hours.compared, hours.TABLES)
    steps = {task: hours._full(hours.study(hours.settings("bert-base")), task) for task in paper.TASKS}
    assert steps["rte"] == 780
    # 5 seeds of 4 methods and of 6 controls, and of 2 methods trials that are worth 2 runs
    controls = {"mrpc", "rte", "stsb", "qqp", "mnli", "sst2"}
    assert small.steps == sum(count * (20 + 5 * (task in controls) + 4) for task, count in steps.items())
    assert small.h100 == pytest.approx(small.steps / 58 / 3600)
    assert large.h100 / large.steps == pytest.approx(small.h100 / small.steps * 302 / 85)


def parquet(rows, labels):
    half = rows // 2
    texts = {name: [f"the {word} day {n}" for n in range(half) for word in ("lovely", "awful")]
             for name in ("sentence1", "sentence2")}  # fmt: skip
    sink = io.BytesIO()
    pq.write_table(pa.table(texts | {"label": labels * half}), sink)
    return sink.getvalue()


def test_it_runs_from_end_to_end_on_what_a_hub_serves(planned, tmp_path, monkeypatch):
    tiny = {path.name: path.read_bytes() for path in make_tiny_bert(tmp_path / "bert").iterdir()}
    rte = {
        f"rte/{split}-00000-of-00001.parquet": parquet(rows, [0, 1])
        for split, rows in (("train", 16), ("validation", 8))
    }
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving({"bert-base-uncased": tiny}, rte) as endpoint:
        template = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        made = planned("bert-base")
        run = replace(made.run, epochs=1, batch_size=8, max_length=16, precision="fp32")
        small = replace(made, tasks=("rte",), seeds=2, run=run, lr_grid=made.lr_grid[:2])
        result = compare(small, tmp_path / "out", engine=InlinePlacer())
    assert result.failures == 0
    labels = {cell.label: cell for cell in result.cells}
    assert {*labels} == {*METHODS, "vanilla at pats-paper's rate"}
    assert (labels["vanilla"].lr, labels["pats-paper"].lr) == (1e-4, 3e-4)
    assert all(len(cell.results) == 2 for cell in result.cells)
    page = (tmp_path / "out" / "table1.md").read_text("utf-8")
    assert "68.0" in page, "the paper's own score of the cell"
