"""What is claimed, a result file each: the commands that make it, and the files that it depends on."""

from collections.abc import Mapping
from dataclasses import dataclass

STEP = (
    "src/pats/_noise.py",
    "src/pats/_budget.py",
    "src/pats/philox.py",
    "src/pats/_scope.py",
    "src/pats/_perturb.py",
    "src/pats/kernels",
    "src/pats/step",
    "src/pats/optim",
)
RUN = (*STEP, "src/pats/methods", "src/pats/setups", "src/pats/tasks", "src/pats/run")
STUDY = (*RUN, "src/pats/study")
REPORT = ("src/pats/page", "src/pats/results", "src/pats/study", "src/pats/run", "src/pats/cli")


@dataclass(frozen=True)
class Claim:
    """A claim and where its numbers come from.

    Args:
        claim: In a sentence.
        commands: What makes the result file, from the root of the checkout, in turn.
        sources: Files and folders that the numbers depend on.
        minutes: About how long the commands take on two cores.
    """

    claim: str
    commands: tuple[str, ...]
    sources: tuple[str, ...]
    minutes: int


def _soak(claim: str, test: str, minutes: int, sources: tuple[str, ...], chosen: str = "") -> Claim:
    path = f"tests/soak/test_{test}.py"
    return Claim(claim, (f"python -m pytest -m soak {path}{chosen}",), (*sources, path), minutes)


def _study(name: str, claim: str, minutes: int, plans: tuple[str, ...], flags: str = "") -> Claim:
    compare = (f"pats compare --config {plan}{flags} --out out/{name}" for plan in plans)
    collect = f"python -m benchmarks.collect {name}"
    return Claim(claim, (*compare, collect), (*STUDY, "benchmarks/collect.py", *plans), minutes)


_STEPS = (
    "--shapes minilm --rounds 15",
    "--shapes minilm --rounds 15 --fast --keep",
    "--shapes bert-base --rounds 15 --fast",
    "--shapes bert-base --rounds 9 --fast --keep",
    "--shapes roberta-large --rounds 5 --fast",
    "--shapes roberta-large --rounds 5 --fast --keep",
)

CLAIMS: Mapping[str, Claim] = {
    "check": Claim(
        "the literal reading's noise alone moves weights by about their own spread in ten epochs of CoLA",
        ("python -m benchmarks.check --data GLUE",),
        (*RUN, "benchmarks/check.py"),
        1,
    ),
    "compare_kills": _soak(
        "a comparison killed at random moments ends with the table and results of one left alone",
        "compare_kills",
        15,
        STUDY,
        " -k thirty_kills",
    ),
    "coordinator_kills": _soak(
        "a coordinator killed at random moments loses no result, makes none twice and leaves no process",
        "coordinator_kills",
        5,
        ("src/pats/study",),
    ),
    "coverage": Claim(
        "how many statements of the package the tests run",
        ("python -m benchmarks.coverage",),
        ("src/pats", "tests", "benchmarks/coverage.py"),
        90,
    ),
    "data_size": Claim(
        "scores and the spread of sensitivities by size of the training data, plain and with PATS",
        (
            "pats data-size --task cola --data GLUE --model minilm --methods vanilla pats-paper "
            "--fractions 0.05 0.1 0.25 --seeds 2 --lr 3e-4 --epochs 5 --max-length 64 --precision bf16 "
            "--out out/data_size",
            "python -m benchmarks.collect data_size",
        ),
        (*STUDY, "benchmarks/collect.py"),
        60,
    ),
    "demo": _study(
        "demo", "five methods on the embedded task, three seeds each", 40, ("benchmarks/demo.yaml",)
    ),
    "end_to_end": Claim(
        "time of whole training steps with PATS against the same training without noise",
        ("python -m benchmarks.end_to_end --data GLUE --rounds 12",),
        (*RUN, "benchmarks/end_to_end.py"),
        3,
    ),
    "evidence": Claim(
        "noise and today's other methods beside plain fine-tuning, by a plan that was committed before",
        (
            "python -m benchmarks.evidence --stage all --data GLUE --folder mpnet-base=MPNET",
            "python -m benchmarks.evidence --again 5 --data GLUE",
        ),
        (*STUDY, "benchmarks/evidence/plan.yaml", "benchmarks/evidence/runs.py"),
        1800,
    ),
    "evidence_pace": Claim(
        "seconds of one core that plain fine-tuning takes on the tasks of the plan",
        ("python -m benchmarks.evidence --pace --data GLUE",),
        (*RUN, "benchmarks/evidence/cost.py"),
        5,
    ),
    "figure2": Claim(
        "how the sensitivities of models trained plainly and with PATS are distributed",
        ("python -m benchmarks.figure2 --data GLUE",),  # the models are those of minilm_glue
        (*STUDY, "benchmarks/figure2.py", "benchmarks/minilm_glue.yaml"),
        3,
    ),
    "fuzz": Claim(
        "hostile input through every door is taken, or refused in one sentence, and does nothing else",
        ("python -m benchmarks.fuzz",),
        ("src/pats", "tests/fuzz", "tests/support/fuzzing", "benchmarks/fuzz.py"),
        8,
    ),
    "gpu_before": Claim(
        "what a step cost on an H100 before the path for GPUs was rewritten",
        (),  # measured by hand; benchmarks/gpu.sh measures what is there now
        (),
        0,
    ),
    "grammar": Claim(
        "plain fine-tuning of the embedded model lands in 0.65-0.90; bag of words <= 0.55",
        ("OMP_NUM_THREADS=1 python -m benchmarks.grammar --seeds 3",),
        ("src/pats/tasks", "benchmarks/grammar.py"),
        10,
    ),
    "kills": _soak(
        "a run killed at random moments ends with the weights of one left alone",
        "run_kills",
        60,
        (*RUN, "tests/support/killed_runs.py"),
    ),
    "host": Claim(
        "what the host does in a step on a GPU: time, launches and copies to the device",
        ("python -m benchmarks.host",),
        (*STEP, "benchmarks/host.py", "benchmarks/driver.py"),
        2,
    ),
    "memory": Claim(
        "memory of a step beyond parameters and gradients",
        ("python -m benchmarks.memory --shapes bert-base",),
        (*STEP, "benchmarks/memory.py", "benchmarks/common.py"),
        2,
    ),
    "methods": Claim(
        "time and memory of a step with every method at its defaults, against plain fine-tuning",
        ("OMP_NUM_THREADS=1 python -m benchmarks.methods --rounds 5 --batch 8",),
        (*STEP, "src/pats/methods", "benchmarks/methods.py"),
        3,
    ),
    "methods_train": _soak(
        "every method trains the embedded model above chance on each kind of task",
        "methods_train",
        60,
        RUN,
    ),
    "minilm_glue": _study(
        "minilm_glue",
        "four methods on a quarter of CoLA and MRPC, two seeds: an example of a report",
        80,
        ("benchmarks/minilm_glue.yaml",),
        " --data GLUE --keep-models",
    ),
    "minilm_layouts": _soak(
        "given equal gradients, every layout over processes has the bits of one process",
        "minilm_layouts",
        30,
        (*STEP, "src/pats/methods"),
    ),
    "mpnet_h100": Claim(
        "the literal reading harms at base size, and the score falls as the accumulated noise grows",
        (),  # measured before there was a command; benchmarks/evidence runs such studies now
        (),
        0,
    ),
    "mutants": Claim(
        "how many faults that are put into the code the tests notice",
        ("python -m benchmarks.mutants --draw 1 --each 60 --workers 2",),
        (*STEP, "src/pats/page/numbers", "src/pats/study/store", "benchmarks/mutants.py"),
        240,
    ),
    "newcomer": Claim(
        "how long a newcomer takes by the README, from an empty environment to a model for a table of texts",
        (
            "python -m benchmarks.real_tables --data GLUE --tables films",
            "python -m benchmarks.newcomer",
        ),
        (*STUDY, "src/pats/cli", "README.md", "pyproject.toml", "benchmarks/newcomer.py"),
        6,
    ),
    "numerics": _soak(
        "a hundred thousand steps in float32 and bfloat16 stay as near to float64 as is derived",
        "numerics",
        20,
        (*STEP, "tests/support/drift.py", "tests/support/oracle.py"),
    ),
    "page": _soak(
        "pages of every kind open in a browser without an error, a request or an accessibility fault",
        "page",
        3,
        (*REPORT, "tests/soak/page.mjs"),
    ),
    "predict_stream": Claim(
        "peak memory of pats predict on tables of growing size",
        ("python -m benchmarks.predict_stream --megabytes 1 50",),
        ("src/pats/measure", "src/pats/tasks/reading", "benchmarks/predict_stream.py"),
        2,
    ),
    "rank_kills": _soak(
        "a comparison whose ranks are killed ends with the table and results of one left alone",
        "compare_kills",
        5,
        STUDY,
        " -k killed_ranks",
    ),
    "ray_partition": _soak(
        "a lost node and a cut network lose no result and make none twice", "ray_partition", 20, STUDY
    ),
    "readings": _study(
        "readings",
        "no reading of the paper clearly beats plain fine-tuning of MiniLM on CoLA and RTE",
        145,
        ("benchmarks/readings.yaml", "benchmarks/readings_seeds.yaml"),
        " --data GLUE",
    ),
    "registers": Claim(
        "registers, spills and float64 instructions of the Triton kernels",
        ("TRITON_INTERPRET=0 PYTHONPATH=tests python -m benchmarks.registers",),
        ("src/pats/kernels/triton", "tests/support/compiled.py", "benchmarks/registers.py"),
        5,
    ),
    "release": Claim(
        "the wheels and the sources install and run in clean environments, with and without a compiler",
        ("python -m benchmarks.release",),
        ("setup.py", "pyproject.toml", "MANIFEST.in", "src/pats/kernels/cpu", "benchmarks/release.py"),
        20,
    ),
    "report": Claim(
        "how long the report of ten thousand results takes, and how large its page is",
        ("python -m benchmarks.report",),
        (*REPORT, "benchmarks/report.py"),
        2,
    ),
    "rivals": Claim(
        "PATS on real tables beside TF-IDF, frozen embeddings, SetFit and AutoGluon: quality, time, memory",
        ("python -m benchmarks.real_tables --data GLUE", "python -m benchmarks.rivals"),
        (
            *STUDY,
            "src/pats/cli",
            "benchmarks/rivals.py",
            "benchmarks/real",
            "benchmarks/rivals-requirements.txt",
        ),
        3000,
    ),
    "scaling": Claim(
        "time of a step per parameter, from 10 to 300 million parameters",
        ("python -m benchmarks.scaling",),
        (*STEP, "benchmarks/scaling.py", "benchmarks/common.py"),
        2,
    ),
    "sensitivity": Claim(
        "the memory that sensitivities take does not grow with the number of batches",
        ("python -m benchmarks.sensitivity",),
        ("src/pats/measure/sensitivity.py", "src/pats/_scope.py", "benchmarks/sensitivity.py"),
        6,
    ),
    "statistics_null": _soak(
        "how often the report's statistics find a difference where there is none",
        "statistics_null",
        15,
        ("src/pats/page/numbers/statistics.py",),
    ),
    "step": Claim(
        "time of an optimizer step: torch's own, PATS in torch operations, and PATS in one kernel",
        tuple(f"python -m benchmarks.step {flags}" for flags in _STEPS),
        (*STEP, "benchmarks/step.py", "benchmarks/common.py"),
        10,
    ),
    "store": Claim(
        "how long a study of ten thousand results takes to read, to watch and to export",
        ("python -m benchmarks.store",),
        ("src/pats/study", "src/pats/run", "benchmarks/store.py"),
        2,
    ),
    "walks": Claim(
        "the noise in the weights after each step of a run: the paper's walk goes on, a budget ends",
        ("python -m benchmarks.walks",),
        (*STEP, "benchmarks/walks.py"),
        2,
    ),
}

# Claims whose first result file is still to be measured; their pages are made once it is there.
AWAITED: set[str] = set()
