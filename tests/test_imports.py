import subprocess
import sys

import pytest

from pats import InputError
from pats._imports import try_import


def test_importing_pats_needs_torch_alone():
    """Whatever torch itself does not load stays unloaded."""
    script = """
import sys, torch
before = set(sys.modules)
import pats
pats.perturb, pats.optim.Adamax, pats.noisytune_
roots = {name.partition(".")[0] for name in set(sys.modules) - before}
extras = {"transformers", "accelerate", "numpy", "scipy", "pyarrow", "rich", "yaml", "huggingface_hub"}
print(sorted(roots & extras))
"""
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("script", ["import pats", "from pats.cli import main; main(['--help'])"])
def test_torch_waits_until_it_is_needed(script):
    """It takes seconds, and the help of the command line none."""
    script = f"import sys; {script}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL).returncode == 0


def test_transformers_waits_until_a_model_is_needed():
    """It takes seconds, and a study that is done, its page, and what its runs are need none."""
    script = (
        "import sys, pats.study.compare, pats.study.sweep, pats.cli.report, pats.cli.watch, pats.cli.export"
    )
    script += "; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


@pytest.mark.parametrize("name", ["hf", "kernels", "measure", "methods", "optim", "philox", "step"])
def test_importing_pats_brings_its_modules(name):
    script = f"import pats; assert pats.{name}.__name__ == 'pats.{name}'"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_missing_package_names_its_extra():
    with pytest.raises(InputError, match=r"'no_such_package'.*pats-finetune\[run\]"):
        try_import("no_such_package.part", "run")


def test_every_public_name_exists_and_is_documented():
    import pats

    for name in pats.__all__:
        assert getattr(pats, name).__doc__, name
