"""Bad input of the verbs around a study is one sentence and exit code 2."""

import pytest

from pats.cli import main
from support.study_flags import study_flags

BAD = [
    ("compare", ["--engine", "slurmy"], "engine is 'slurmy'"),
    ("compare", ["--ray-address", "x:1"], "--ray-address is for --engine ray"),
    ("compare", ["--slurm", "partition=gpu"], "--slurm is for --engine slurm"),
    ("compare", ["--engine", "slurm"], "jobs cannot be submitted"),
    ("compare", ["--engine", "slurm", "--slurm", "cluster=local", "time=long"], "jobs cannot be submitted"),
    ("compare", ["--engine", "slurm", "--gpus", "0.5"], "Slurm gives whole GPUs"),
    ("compare", ["--engine", "ray", "--ray-address", "127.0.0.1:1"], "no Ray cluster at 127.0.0.1:1"),
    ("compare", ["--engine", "ray", "--ray-address", "head"], "no Ray cluster at head"),
    ("compare", ["--gpus", "2"], "a run is to have 2 GPUs, but this machine has none"),
    ("compare", ["--gpus", "1.5"], "gpus is 1.5"),
    ("compare", ["--processes", "3"], "batch_size is 16, but must be a multiple of the 3 processes"),
    ("data-size", ["--engine", "slurmy"], "engine is 'slurmy'"),
    ("data-size", ["--fractions", "1.5"], "above 0 and at most 1"),
    ("compare", ["--cpus", "0"], "cpus is 0"),
    ("compare", ["--report-to", "tensorbord"], "no tracker 'tensorbord'"),
    ("sweep", ["--trials", "0"], "trials is 0"),
    ("sweep", ["--proposer", "best"], "proposer is 'best'"),
    ("sweep", ["--space", "lam"], "must be KEY=VALUES"),
    ("sweep", ["--space", "sage.beta3=1"], "is for no row"),
    ("sweep", ["--space", "beta3=0.5"], "is an option of none of the rows"),
    ("sweep", ["--space", "lam=1e-6..x"], "LOW..HIGH with two numbers"),
    ("sweep", ["--space", "beta=0.5,1.5"], "beta is 1.5"),
    ("sweep", ["--halving", "3"], "leaves less than one of 1 epochs"),
]


@pytest.mark.parametrize(("verb", "extra", "said"), BAD, ids=[" ".join(bad[1]) for bad in BAD])
def test_bad_input_is_one_sentence_and_exit_code_2(verb, extra, said, inputs, tmp_path, capsys):
    pytest.importorskip("optuna")
    pytest.importorskip("submitit")
    assert main([verb, *study_flags(inputs, tmp_path / "out"), *extra]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out" / "runs").exists()
