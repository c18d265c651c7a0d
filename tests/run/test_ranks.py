"""Variables of a launcher that are left over: one sentence, in seconds."""

import os
import socket
import subprocess
import sys
import time

import pytest
import torch
from accelerate.utils.environment import str_to_bool

from pats import InputError
from pats.cli import main
from pats.run import ranks

NAMES = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


HERE = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}


@pytest.fixture
def variables(monkeypatch):
    """Sets these variables of a launcher, and no others."""

    def given(values):
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return given


WRONG = [
    ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two', but must be a number from 1"),
    ({"WORLD_SIZE": "0"}, "WORLD_SIZE is '0', but must be a number from 1"),
    ({"WORLD_SIZE": "-1"}, "WORLD_SIZE is '-1'"),
    ({"WORLD_SIZE": ""}, "WORLD_SIZE is ''"),
    ({"WORLD_SIZE": "1.5"}, "WORLD_SIZE is '1.5'"),
    ({"RANK": "x"}, "RANK is 'x', but must be a number from 0"),
    ({"RANK": "1"}, "RANK is 1, but WORLD_SIZE is not set"),
    ({"LOCAL_RANK": "1"}, "LOCAL_RANK is 1, but WORLD_SIZE is not set"),
    ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK is 2, but WORLD_SIZE is 2"),
    ({"WORLD_SIZE": "2"}, "WORLD_SIZE is 2, but RANK is not set"),
    ({"WORLD_SIZE": "2", "RANK": "0"}, "WORLD_SIZE is 2, but MASTER_ADDR is not set"),
    ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1"}, "MASTER_PORT is not set"),
]


@pytest.mark.parametrize(("values", "said"), WRONG, ids=[str(values) for values, _ in WRONG])
@pytest.mark.parametrize("verb", ["run", "compare", "sweep", "data-size"])
def test_variables_that_contradict_each_other(variables, capsys, verb, values, said):
    variables(values)
    assert main([verb, "--task", "grammar", "--out", "nowhere"]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "unset WORLD_SIZE" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, (1, 0, 0)),
        ({"PMI_SIZE": "1"}, (1, 0, 0)),
        ({"WORLD_SIZE": "4", "RANK": "3", "OMPI_COMM_WORLD_SIZE": "2", "PMI_SIZE": "1", **HERE}, (4, 3, 0)),
        ({"RANK": "0", "LOCAL_RANK": "0"}, (1, 0, 0)),
        ({"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", **HERE}, (1, 0, 0)),
        ({"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", **HERE}, (4, 3, 1)),
    ],
)
def test_variables_of_a_launch(variables, values, expected):
    variables(values)
    found = ranks.launched()
    assert (found.count, found.rank, found.local) == expected


NOBODY = [
    {"RANK": "0", **HERE},
    {"RANK": "1", "LOCAL_RANK": "1", **HERE},
    {"RANK": "0", "TORCHELASTIC_USE_AGENT_STORE": "True", **HERE},
    {"RANK": "0", "MASTER_ADDR": "no-such-host.invalid", "MASTER_PORT": "29500"},
]


@pytest.mark.parametrize("values", NOBODY, ids=["first", "second", "agent", "no such host"])
def test_a_group_to_which_nobody_comes_is_given_up(variables, capfd, values):
    variables({"WORLD_SIZE": "2", **values, ranks.PATIENCE: "1"})
    began = time.monotonic()
    with pytest.raises(ranks.LauncherError, match="not all 2 processes came to") as raised:
        ranks.join(torch.device("cpu"))
    assert time.monotonic() - began < 20
    assert ranks.speaks(raised.value)  # the others are not there to say it
    assert "frame #" not in capfd.readouterr().err


@pytest.mark.parametrize("values", [{}, {"WORLD_SIZE": "1", "RANK": "0"}])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_local_rank_alone_would_make_a_group(variables, device, values):
    variables({"LOCAL_RANK": "0", **values})
    with pytest.raises(ranks.LauncherError, match="LOCAL_RANK is set, but"):
        ranks.join(torch.device(device))


@pytest.mark.parametrize("value", ["2", ""])
@pytest.mark.parametrize("name", ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"])
def test_variables_of_mpi_alone_are_refused(variables, name, value):
    variables({name: value})
    with pytest.raises(
        ranks.LauncherError, match=f"{name} is '{value}', .* WORLD_SIZE is not set: unset {name}"
    ):
        ranks.launched()


def test_a_group_of_one_meets_where_it_can(variables):
    one = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "MASTER_PORT": "29500", ranks.PATIENCE: "1"}
    variables({**one, "MASTER_ADDR": "no-such-host.invalid"})
    with pytest.raises(ranks.LauncherError, match="not all 1 processes came to no-such-host"):
        ranks.join(torch.device("cpu"))


@pytest.mark.parametrize("value", [None, "maybe"])
def test_what_accelerate_says_of_its_variables_is_one_sentence(variables, value):
    variables({} if value is None else {"ACCELERATE_USE_CPU": value})
    error = pytest.raises(ValueError, match="invalid truth value")
    if value is not None:
        told = r"cannot start \(invalid truth value maybe\) .*\(ACCELERATE_USE_CPU\)"
        error = pytest.raises(ranks.LauncherError, match=told)
    with error, ranks.accelerated():
        str_to_bool("maybe")


@pytest.mark.parametrize("error", [ValueError, torch.OutOfMemoryError])
def test_what_others_raise_is_not_told_of_accelerate(variables, error):
    variables({"ACCELERATE_MIXED_PRECISION": "no"})
    with pytest.raises(error), ranks.accelerated():
        raise error("ours")


@pytest.mark.parametrize("port", ["99999", "x", "0"])
def test_a_port_that_is_none(variables, port):
    variables({"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port})
    with pytest.raises(ranks.LauncherError, match=f"MASTER_PORT is '{port}'"):
        ranks.join(torch.device("cpu"))


@pytest.mark.parametrize("given", ["soon", "", "nan"])
def test_a_patience_that_is_no_number(variables, given):
    variables({"WORLD_SIZE": "2", "RANK": "0", **HERE, ranks.PATIENCE: given})
    with pytest.raises(ranks.LauncherError):
        ranks.join(torch.device("cpu"))


@pytest.mark.parametrize(
    ("values", "speaks"),
    [
        ({}, True),
        ({"LOCAL_RANK": "1"}, True),  # nobody else would
        ({"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", **HERE}, False),
        ({"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", **HERE}, True),
    ],
)
def test_one_process_of_a_machine_tells_of_bad_input(variables, values, speaks):
    variables(values)
    assert ranks.speaks(InputError("x")) is speaks


JOIN = """
import torch
from pats.run import ranks
ranks.join(torch.device("cpu"))
print(sum(ranks.every(ranks.rank() + 1)))
"""


def test_processes_that_are_started_by_hand_meet():
    port = free_port()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", JOIN],
            env=os.environ | {"WORLD_SIZE": "2", "RANK": rank, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1",
                              "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true", ranks.PATIENCE: "100"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]  # fmt: skip
    assert [process.communicate()[0].strip() for process in started] == ["3", "3"]
