import json
import shlex

import pytest

from pats.cli import main
from support.study_flags import study_flags


def test_data_size_on_an_engine(inputs, tmp_path, capsys):
    pytest.importorskip("submitit")
    out = tmp_path / "out"
    argv = ["data-size", *study_flags(inputs, out), "--fractions", "0.5", "--batches", "1", "--json"]
    assert main([*argv, "--engine", "slurm", "--slurm", "cluster=local"]) == 0
    (point,) = json.loads(capsys.readouterr().out)["points"]
    assert point["fraction"] == 0.5
    assert point["std"] > 0
    assert list(out.glob("0.5/runs/*/attempts/*/handle.json"))
    assert list(out.glob("slurm/*"))
    (typed,) = [line for line in (out / "data_size.md").read_text().splitlines() if "pats data-size" in line]
    words = shlex.split(typed[typed.index("pats") :].rstrip(" |"))
    assert main([*words[1:], "--quiet", "--batches", "1"]) == 0  # what the page says makes it again
