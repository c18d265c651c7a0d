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


def test_a_missing_package_names_its_extra():
    with pytest.raises(InputError, match=r"'no_such_package'.*pats-finetune\[run\]"):
        try_import("no_such_package.part", "run")


def test_every_public_name_exists_and_is_documented():
    import pats

    for name in pats.__all__:
        assert getattr(pats, name).__doc__, name
