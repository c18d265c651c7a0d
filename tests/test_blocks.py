"""Every code block of README, docs and docstrings runs; what cannot run here is parsed, and says why."""

import ast
import random
import re
import shutil
import sys
from pathlib import Path

import pandas
import pytest
import torch

import pats
from pats import InputError
from pats.cli import VERBS, main
from pats.cli._parser import parser_of
from support.blocks import Block, argv_of, blocks, in_docstrings, wrong_with
from support.inline_placer import InlinePlacer
from support.tiny_bert import BAD, FILLER, GOOD, make_table

ROOT = Path(__file__).parents[1]
PAGES = {
    path.name if path.parent == ROOT else f"docs/{path.name}": path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
}
CODE = {name: list(blocks(path.read_text("utf-8"))) for name, path in PAGES.items()}
SOURCES = {path.relative_to(ROOT).as_posix(): path for path in sorted((ROOT / "src").rglob("*.py"))}
EXAMPLES = {name: found for name, path in SOURCES.items() if (found := list(in_docstrings(path)))}
LANGUAGES = ("python", "sh", "yaml", "json", "text")

# Lines of shell that do not run here, and why. They are parsed.
CANNOT = {
    r"pip install ": "it needs the network",
    r"make |python -m benchmarks|sh benchmarks/": "it takes minutes to hours",
    r"torchrun |accelerate launch ": "several processes: tests/distributed/test_training.py starts them so",
    r"pats (compare|sweep) --config benchmarks/": "hours on a GPU; tests/benchmarks/test_paper_tables.py",
    r"pats sweep --config sweep": "halving takes many runs; tests/study/test_sweep.py",
    r"pats serve |curl ": "it listens until it is stopped; tests/measure/serve/test_server.py",
    r"pats compare .*--engine ": "a cluster; tests/study/place/test_conformance.py has the engines",
    r"zcat ": "a pipe of two programs; tests/cli/test_predict.py has the second",
    r"pats export-onnx ": "the export takes long; tests/cli/test_export_onnx.py",
    r"pats bench .*bert-base": "many rounds of a model of the hub; the line above it runs",
}

# What a line is given in addition, so that it takes a second. The last value of a flag counts.
RUN = "--steps 2 --max-length 16 --precision fp32 --quiet"
SMALL = {
    "run": f"--model BERT {RUN}",
    "compare": f"--models BERT --baselines none --force --seeds 1 --lr 1e-3 --no-control {RUN}",
    "sweep": f"--models BERT --force --seeds 1 --trials 1 {RUN}",
    "data-size": f"--models BERT --fractions 0.5 --seeds 1 --lr 1e-3 --batches 1 {RUN}",
    "sensitivity": "--batches 1",
    "check": "--model BERT --batches 1 --steps 2",
    "bench": "--model BERT --rounds 1",
    "inspect": "--model BERT",
}

# What is there before the lines of a page run, as other pages made it.
GIVEN = {
    "README.md": ["out/glue", "A/model", "B/model"],
    "docs/report.md": ["out/glue", "out/plain/model", "out/pats/model"],
    "docs/using-a-model.md": ["out/reviews"],
    "docs/cluster.md": ["out/glue"],
}


def reason(line):
    """Why a line does not run here; None if it does."""
    return next((why for pattern, why in CANNOT.items() if re.match(pattern, line)), None)


def write_glue(folder):
    """Three tasks in the official layout, with few rows."""
    draw = random.Random(0)

    def text(label):
        return f"the {draw.choice(FILLER)} was {draw.choice(GOOD if label else BAD)}"

    for task, header, row in [
        (
            "RTE",
            "index\tsentence1\tsentence2\tlabel",
            lambda n, label: [n, text(label), text(0), ["entailment", "not_entailment"][label]],
        ),
        (
            "MRPC",
            "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
            lambda n, label: [label, n, n, text(label), text(0)],
        ),
        ("CoLA", None, lambda n, label: ["x", label, "", text(label)]),
    ]:
        (folder / task).mkdir(parents=True)
        for split, rows in (("train", 40), ("dev", 20)):
            lines = [header] if header else []
            lines += ["\t".join(map(str, row(n, n % 2))) for n in range(rows)]
            (folder / task / f"{split}.tsv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_bert):
    """A folder with what the pages' examples name: a model, tables, GLUE, and two studies."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(tiny_bert, folder / "BERT")
    shutil.copytree(tiny_bert, folder / "M")
    make_table(folder / "reviews.csv", rows=60)
    make_table(folder / "new.csv", rows=10, seed=1)
    write_glue(folder / "GLUE")
    (folder / "glue").symlink_to("GLUE")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("pats.study.place.create", lambda *_, **__: InlinePlacer())
        for line in ("--data reviews.csv --out out/reviews", "--tasks cola --data GLUE --out out/glue"):
            run(f"pats compare --methods vanilla {line}")
    for name in ("A", "B", "out/plain", "out/pats"):
        shutil.copytree(folder / "out/glue/model", folder / name / "model")
    return folder


def run(line):
    """Run a line of shell that calls ``pats``, in this process."""
    verb, *rest = argv_of(line)
    small = SMALL.get(verb, "")
    if verb == "compare" and "--methods" not in rest:
        small += " --methods vanilla pats"
    assert main([verb, *rest, *small.split()]) == 0, line


@pytest.fixture
def folder(made, tmp_path, monkeypatch, request):
    """The current folder of a page."""
    for path in ("BERT", "M", "reviews.csv", "new.csv", "GLUE", *GIVEN.get(request.param, ())):
        copy = shutil.copytree if (made / path).is_dir() else shutil.copy
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        copy(made / path, tmp_path / path)
    (tmp_path / "glue").symlink_to("GLUE")
    for block in CODE[request.param]:
        if block.file:
            (tmp_path / block.file).write_text(block.text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pats.study.place.create", lambda *_, **__: InlinePlacer())
    before = [*sys.path], {*sys.modules}
    yield tmp_path
    sys.path[:] = before[0]
    for name in {"rdrop", "parity"} - before[1]:
        sys.modules.pop(name, None)


class Accelerator:
    """Accelerate's ``prepare``, without its processes."""

    def prepare(self, *given):
        return given


@pytest.fixture
def space(folder, monkeypatch):
    """The names that the pages' Python takes for granted; models are small, and comparisons short."""
    import transformers

    classifier = transformers.AutoModelForSequenceClassification
    load = classifier.from_pretrained
    monkeypatch.setattr(
        classifier,
        "from_pretrained",
        lambda name, **how: load("BERT" if name == "bert-base-uncased" else name, **how),
    )
    compare = pats.compare
    small = {
        "models": "BERT",
        "steps": 2,
        "lr": 1e-3,
        "seeds": 1,
        "force": True,
        "methods": ["vanilla", "pats"],
        "baselines": ["majority"],
        "engine": InlinePlacer(),
        "progress": False,
    }
    monkeypatch.setattr(pats, "compare", lambda *a, **given: compare(*a, **small | given), raising=False)
    ids = torch.arange(12).view(2, 6)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.tensor([0, 1])}
    frame = pandas.read_csv("reviews.csv").rename(columns={"label": "stars"})
    return {
        "pats": pats,
        "torch": torch,
        "model": load("BERT"),
        "loader": [batch, batch],
        "data": [batch] * 4,
        "Trainer": transformers.Trainer,
        "args": transformers.TrainingArguments("trained", max_steps=2, use_cpu=True),
        "dataset": [{name: value[0] for name, value in batch.items()}] * 4,
        "accelerator": Accelerator(),
        "frame": frame,
        "new_frame": frame[["text"]][:3],
    }


def execute(block, space):
    """Run a block of Python with an optimizer that has no noise yet."""
    space["optimizer"] = torch.optim.AdamW(space["model"].parameters(), lr=2e-5)
    exec(compile(block.text, block.file or "<block>", "exec"), space)


def after_the_readme(space):
    assert any(matrix["noise_rms"] > 0 for matrix in space["perturbation"].stats().values())
    assert space["trainer"].create_optimizer() is not None
    assert space["result"].failures == 0
    assert set(Path("out/rte").iterdir()) > {Path("out/rte/result.json"), Path("out/rte/model")}


def after_the_quickstart(space):
    assert len(Path("reviews.csv").read_text().splitlines()) == 61
    assert len(Path("labelled.csv").read_text().splitlines()) == 61
    stats = space["perturbation"].stats()
    assert stats
    assert all(row["noise_rms"] >= 0 for row in stats.values())


# What has come of the code of a page.
AFTER = {"README.md": after_the_readme, "docs/quickstart.md": after_the_quickstart}


@pytest.mark.parametrize("folder", [name for name, found in CODE.items() if found], indirect=True)
def test_the_code_of_a_page_runs(folder, space, request):
    page = request.node.callspec.params["folder"]
    for block in CODE[page]:
        if block.language == "python" and not block.file:
            execute(block, space)
        for line in block.lines if block.language == "sh" else ():
            if reason(line) is None:
                run(line)


LINES = [
    (name, line)
    for name, found in CODE.items()
    for one in found
    if one.language == "sh"
    for line in one.lines
]


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, line in LINES if reason(line)])
def test_a_line_that_does_not_run_is_a_command_that_could(name, line, tmp_path, monkeypatch):
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    for block in CODE[name]:
        if block.file:
            (tmp_path / block.file).write_text(block.text)
    monkeypatch.chdir(tmp_path)
    assert wrong_with(line) is None


@pytest.mark.parametrize("pattern", CANNOT)
def test_every_reason_is_of_a_line_of_some_page(pattern):
    assert any(re.match(pattern, line) for _, line in LINES)


@pytest.mark.parametrize("name", CODE)
def test_a_block_says_what_it_is(name):
    assert [one.text for one in CODE[name] if one.language not in LANGUAGES] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_code_of_a_docstring_can_be_read(name):
    for block in EXAMPLES[name]:
        ast.parse(block.text)


@pytest.mark.parametrize("folder", ["README.md"], indirect=True)
def test_the_code_of_the_public_docstrings_runs(folder, space):
    ran = 0
    for name in ("src/pats/_perturb.py", "src/pats/hf.py", "src/pats/study/compare.py"):
        for block in EXAMPLES[name]:
            space["perturbation"] = pats.perturb(
                torch.optim.SGD(space["model"].parameters(), lr=0.1), space["model"]
            )
            execute(block, space)
            ran += 1
    assert ran == 4


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_of_a_verbs_help_are_commands_that_could_run(verb, monkeypatch):
    monkeypatch.chdir(ROOT)
    lines = parser_of(verb).epilog.splitlines()[1:]
    assert lines
    assert [(line, wrong) for line in lines if line.strip() and (wrong := wrong_with(line))] == []


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("a\n\n    pats env  # why\n\nb\n", [Block("sh", "pats env  # why\n")]),
        ("```sh\n# all\npats env\n```\n", [Block("sh", "# all\npats env\n")]),
        ("```\n    x\n```\n", [Block("", "    x\n")]),
        ("- a list\n    that goes on\n", []),
    ],
)
def test_what_a_block_is(page, found):
    assert list(blocks(page)) == found


def test_what_lines_and_files_of_a_block_are():
    assert Block("sh", "# all\npats env  # some\n\npats watch out\n").lines == ["pats env", "pats watch out"]
    assert Block("yaml", "# sweep.yaml: flags\nlr: 1\n").file == "sweep.yaml"
    assert Block("python", "import pats\n").file is None


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        ("pats run --lr 1", ["run", "--lr", "1"]),
        ("zcat a | pats predict M - > out", ["predict", "M", "-"]),
        ("torchrun --nproc-per-node 2 -m pats run --lr 1", ["run", "--lr", "1"]),
        ("make test", None),
    ],
)
def test_what_pats_is_given(line, argv):
    assert argv_of(line) == argv


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("pats rnu --lr 1", "there is no verb rnu"),
        ('pip install "pats-finetune[rnu]"', "there is no extra rnu"),
        ("make rnu", "make has no target rnu"),
        ("python -m benchmarks.rnu", "there is no module benchmarks.rnu"),
        ("sh benchmarks/rnu.sh", "there is no file benchmarks/rnu.sh"),
        ("rnu", "nobody knows rnu"),
        ("make test", None),
    ],
)
def test_what_is_wrong_with_a_line(line, wrong):
    assert wrong_with(line) == wrong


def test_a_flag_that_a_verb_does_not_have_is_found():
    with pytest.raises(InputError, match="--rnu"):
        wrong_with("pats run --rnu 1")
