"""The workflows against the Makefile and pyproject.toml; that GitHub runs them cannot be shown here."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAKEFILE = (ROOT / "Makefile").read_text()
FILES = sorted(path.relative_to(ROOT) for path in GITHUB.rglob("*.yml"))
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in GITHUB.glob("workflows/*.yml")}
JOBS = {f"{file} {job}": content for file, flow in WORKFLOWS.items() for job, content in flow["jobs"].items()}
ON_LINUX = {name: job for name, job in JOBS.items() if job["runs-on"] == "ubuntu-latest"}
PYTHONS = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))


def rows(job):
    """The rows of a job's matrix; one empty row without a matrix."""
    matrix = dict(job.get("strategy", {}).get("matrix", {}))
    found, included = [{}], matrix.pop("include", [])
    for key, values in matrix.items():
        found = [row | {key: value} for row in found for value in values]
    return found + included


def commands(job):
    """What a job's steps run, for every row."""
    for row in rows(job):
        for step in job["steps"]:
            yield re.sub(
                r"\$\{\{ matrix\.(\w+) \}\}", lambda found, row=row: row[found[1]], step.get("run", "")
            )


def lower_bounds():
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["run"]]
    return dict(re.match(r"([\w-]+)>=([\d.]+)", one).groups() for one in wanted)


def pins(path):
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)$", (ROOT / path).read_text(), re.M))


def numbers(version):
    return tuple(int(part) for part in version.split("."))


def test_there_are_workflows_for_style_tests_and_wheels():
    assert set(WORKFLOWS) == {"lint", "test", "wheels"}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_is_yaml(path):
    assert isinstance(yaml.safe_load((ROOT / path).read_text()), dict)


@pytest.mark.parametrize("name", JOBS)
def test_actions_are_pinned_to_a_version(name):
    for step in JOBS[name]["steps"]:
        assert set(step) & {"uses", "run"}
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+(\.\d+\.\d+)?", step["uses"])


@pytest.mark.parametrize("name", ON_LINUX)
def test_linux_runs_what_the_makefile_has(name):
    """A target, with variables that may be set; or a script of the environment that it has made."""
    ran = [command.split() for command in commands(ON_LINUX[name]) if command]
    assert ran
    for program, *words in ran:
        if program != "make":
            assert (program, words) == (".venv/bin/pats", ["env"])
            continue
        target, *settings = words
        assert re.search(rf"^{target}:.*##", MAKEFILE, re.M)
        for variable, value in (setting.split("=") for setting in settings):
            assert re.search(rf"^{variable} \?=", MAKEFILE, re.M)
            assert variable != "CONSTRAINTS" or (ROOT / value).is_file()


def test_make_test_requires_the_kernel_and_a_reason_for_a_skip():
    assert re.search(r"^test: export PATS_REQUIRE_KERNEL = 1$", MAKEFILE, re.M)
    assert re.search(r"^test: setup.*\n\t.* -m pytest .*--skips tests/skips.toml$", MAKEFILE, re.M)


def test_the_files_that_make_runs_exist():
    """Those of ``make sanitize`` as well, which lists its tests in a file of its own."""
    named = re.findall(r"\b(?:tests|benchmarks)/[\w/]+\.\w+", MAKEFILE)
    listed = re.search(r"^RUN = (\[.*?\])", (ROOT / "tests/soak/sanitized.py").read_text(), re.MULTILINE)
    files = {*named, *(f"tests/{name}" for name in ast.literal_eval(listed[1]))}
    assert {"tests/soak/sanitized.py", "tests/soak/kernel_driver.c", "tests/kernels/test_job.py"} <= files
    assert [name for name in sorted(files) if not (ROOT / name).is_file()] == []


def test_lint_and_test_are_the_project_s_own():
    assert set(commands(JOBS["lint lint"])) - {""} == {"make lint"}
    assert all(
        command.startswith("make test ") for command in commands(JOBS["test linux"]) if "make" in command
    )
    ours = (ROOT / ".ci/run").read_text().splitlines()
    assert [line for line in ours if line.startswith("make")] == ["make lint", "make test"]


@pytest.mark.parametrize("name", ["test linux", "test elsewhere"])
def test_the_matrix_has_the_supported_versions_of_python(name):
    found = {row["python"] for row in rows(JOBS[name])}
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    assert found == (set(PYTHONS) if name == "test linux" else {PYTHONS[0], PYTHONS[-1]})


def test_lint_checks_as_the_oldest_python_does():
    setup = next(step for step in JOBS["lint lint"]["steps"] if "setup-python" in step.get("uses", ""))
    assert setup["with"]["python-version"] == PYTHONS[0]


def test_wheels_are_built_for_the_supported_versions_of_python():
    build = next(step for step in JOBS["wheels kernel"]["steps"] if "cibuildwheel" in step.get("uses", ""))
    tags = build["env"]["CIBW_BUILD"].split()
    assert tags == [f"cp{version.replace('.', '')}-*" for version in PYTHONS]
    assert (
        build["env"]["CIBW_ENVIRONMENT"] == "PATS_REQUIRE_KERNEL=1"
    )  # no wheel that says it has a kernel, and has none


def test_the_oldest_versions_are_the_lower_bounds():
    bounds = lower_bounds()
    rested_on = ("torch", "transformers", "accelerate")
    assert pins(".github/oldest.txt") == {name: f"{bounds[name]}.0" for name in rested_on}


def test_the_newest_versions_are_not_pinned():
    assert pins(".github/newest.txt") == {}
    assert {row["constraints"] for row in rows(JOBS["test linux"])} == {
        "constraints.txt",
        ".github/oldest.txt",
        ".github/newest.txt",
    }


@pytest.mark.parametrize(
    "name", ["torch", "transformers", "accelerate", "huggingface_hub", "numpy", "pyarrow"]
)
def test_our_own_versions_are_allowed(name):
    assert numbers(pins("constraints.txt")[name]) >= numbers(lower_bounds()[name])


@pytest.mark.parametrize("name", [name for name in JOBS if name not in ON_LINUX])
def test_what_has_never_run_says_so(name):
    text = (GITHUB / "workflows" / f"{name.split()[0]}.yml").read_text()
    assert re.search("have never run|None of these jobs has ever run", text)
    assert "have never run" in (ROOT / "CONTRIBUTING.md").read_text()


def test_a_bug_report_asks_for_the_environment():
    form = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE/bug.yml").read_text())
    env = next(field for field in form["body"] if field["id"] == "env")
    assert "`pats env`" in env["attributes"]["label"]
    assert env["validations"]["required"]
