import pytest

from pats import InputError
from pats.study.place import resources


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 2), (8, 2), (16, 4), (64, 16)])
def test_workers_that_fit(cores, workers):
    assert resources.fitting(cores) == workers


@pytest.mark.parametrize(
    ("gpus", "processes", "ranks"),
    [(None, None, 1), (0, None, 1), (0.5, None, 1), (2, None, 2), (None, 3, 3)],
)
def test_ranks_are_one_a_gpu_unless_given(gpus, processes, ranks):
    assert resources.ranks_of(gpus, processes) == ranks


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"workers": 0}, "workers is 0, but must be a whole number from 1"),
        ({"cpus": 1.5}, "cpus is 1.5"),
        ({"processes": -1}, "processes is -1"),
        ({"gpus": 1.5}, "gpus is 1.5, but must be a whole number, or a share of one"),
        ({"gpus": 2, "processes": 3}, "a run has 2 GPUs and 3 processes, but must have one process a GPU"),
    ],
)
def test_what_cannot_be_asked_for(asked, said):
    with pytest.raises(InputError, match=said):
        resources.check_resources(**{"workers": None, "cpus": None, "gpus": None} | asked)


@pytest.mark.parametrize(("workers", "cpus", "gpus"), [(None, None, None), (1, 2, 0.5), (3, 1, 2)])
def test_what_can(workers, cpus, gpus):
    resources.check_resources(workers, cpus, gpus)


@pytest.mark.parametrize(
    ("visible", "names"), [(None, ["0", "1"]), ("3,5", ["3", "5"]), ("3,5,7", ["3", "5"])]
)
def test_visible_gpus_are_those_that_torch_sees(monkeypatch, visible, names):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert resources.visible_gpus() == names
