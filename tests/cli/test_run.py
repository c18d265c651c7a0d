import io

import pytest
from rich.console import Console

from pats.cli import main, run
from pats.run.spec import Run
from support.run_flags import run_of


@pytest.mark.parametrize(
    ("argv", "run"),
    [
        ([], Run(task="rte")),
        (["--seed", "3"], Run(task="rte").with_seed(3)),
        (["--seed", "3", "--noise-seed", "4"], Run(task="rte", init_seed=3, data_seed=3, noise_seed=4)),
        (["--eps", "1e-3"], Run(task="rte", options={"eps": 1e-3})),
        (["--optimizer-eps", "1e-3"], Run(task="rte", eps=1e-3)),
        (["--signed", "true", "--scope", "all"], Run(task="rte", options={"signed": True, "scope": "all"})),
        (["--betas", "0.8", "0.9"], Run(task="rte", betas=(0.8, 0.9))),
        (["--steps", "5", "--clip", "0"], Run(task="rte", steps=5, clip=0.0)),
        (
            ["--method", "sage", "--option", "beta3=0.5", "sage.eps=1e-7"],
            Run(task="rte", method="sage", options={"beta3": 0.5, "eps": 1e-7}),
        ),
        (["--task-option", "size=1000"], Run(task="rte", task_options={"size": 1000})),
        (["--preset", "paper"], Run(task="rte")),
    ],
)
def test_flags_become_a_run(argv, run):
    assert run_of("--task", "rte", *argv) == run


def test_every_setting_is_a_flag(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help-all"])
    told = capsys.readouterr().out
    names = set(Run().to_dict()) - {"options", "task_options", "fingerprint", "weights", "eps", "record"}
    names -= {"folds", "fold"}  # a comparison's
    names |= {"lam", "gamma", "beta", "p", "eps", "eps_mode", "intensity", "signed", "scale", "kappa"}
    names |= {"noise_budget", "ratio_max", "until", "temperature"}
    assert "--examples" not in told  # the run knows them
    for name in [*names, "optimizer_eps", "task_option", "option", "seed", "out", "config", "json"]:
        assert f"--{name.replace('_', '-')} " in told, name


def test_what_was_detected_is_said_before_training(inputs, tmp_path, capsys):
    arguments = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--steps", "1"]
    assert main(["run", *arguments, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().err.splitlines()
    trained = next(i for i, line in enumerate(said) if line.startswith("epoch"))
    assert "The label is column 'label', by its name." in said[:trained]
    noise = "In 1 step the noise alone will move a matrix by 0 of the spread of its weights."
    assert noise in said[:trained]
    assert any("this is classification" in line for line in said[:trained])


def test_a_failed_run_is_exit_code_1(inputs, tmp_path, capsys):
    arguments = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert")]
    arguments += ["--out", str(tmp_path), "--lr", "1e30", "--clip", "0", "--epochs", "1", "--quiet"]
    assert main(["run", *arguments, "--method", "vanilla", "--warmup", "0"]) == 1
    captured = capsys.readouterr()
    assert "the run failed: " in captured.err
    assert "status    failed" in captured.out


@pytest.mark.parametrize(("at", "said"), [(0, False), (40, True)])
def test_a_resumed_run_says_where_it_goes_on(at, said):
    console = Console(file=io.StringIO())
    run._Bar(console).tell({"event": "start", "notes": [], "resumed_at": at})
    assert ("The run goes on from step 40." in console.file.getvalue()) is said
