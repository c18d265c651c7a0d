"""Times on a GPU, whose events and waits are stubbed here, and the tables that show them."""

import json

import pytest
import torch

from benchmarks import docs, record, tables, timing
from benchmarks.record import Origin, Results
from benchmarks.step import BYTES, _on_gpu


class Gpu:
    """A GPU whose steps take as long as they say; the host hands them over in half a millisecond."""

    def __init__(self, monkeypatch):
        self.done = self.clock = self.waits = 0.0
        monkeypatch.setattr(timing, "_event", lambda: self.Event(self))
        monkeypatch.setattr(torch.cuda, "synchronize", self.wait)
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.clock / 1e3)

    class Event:
        def __init__(self, gpu):
            self.gpu = gpu

        def record(self):
            self.at = self.gpu.done

        def elapsed_time(self, end):
            return end.at - self.at

    def wait(self):
        self.waits += 1
        self.clock = max(self.clock, self.done)

    def step(self, milliseconds):
        def run():
            self.clock += 0.5
            self.done += milliseconds

        return run


def test_the_devices_events_count_and_the_host_does_not_wait_between_steps(monkeypatch):
    gpu = Gpu(monkeypatch)
    times = timing.timed({"short": gpu.step(1.0), "long": gpu.step(8.0)}, 4, "cuda")
    assert timing.medians(times.device) == {"short": 1.0, "long": 8.0}
    assert timing.medians(times.host) == {"short": 0.5, "long": 0.5}
    assert [len(values) for values in times.device.values()] == [4, 4]
    assert gpu.waits == 2 * 2 * (4 + timing.WARM_UP)


def test_on_a_cpu_the_host_is_the_device():
    times = timing.timed({"nothing": lambda: None}, 3, "cpu")
    assert times.device is times.host
    assert len(times.host["nothing"]) == 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs no GPU")
def test_a_gpu_that_is_not_there_is_told():
    with pytest.raises(SystemExit, match=r"^--device cuda needs a GPU [^\n]+$"):
        timing.ready("cuda")


def test_a_row_is_named_after_its_card(monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "NVIDIA H100")
    assert (timing.named("cuda"), timing.named("cpu")) == ("NVIDIA H100", "cpu")


def test_the_share_of_a_copy():
    """A copy moves 8 bytes a parameter; a step that must move 48 can take six times as long."""
    assert timing.share(1.0, 6.0, 48) == 1.0
    assert timing.share(1.0, 12.0, 48) == 0.5
    assert timing.bandwidth(1_000_000, 1.0) == 8.0


def of(device, ms):
    paths = dict.fromkeys(("copy", "torch AdamW, fused", "Adamax, fused", "PATS Adamax, fused"), ms)
    paths["PATS AdamW, fused"] = ms
    row = {"shapes": "bert-base", "device": device, "threads": 1, "memory": "returned", "parameters": 8}
    row |= {"median_ms": paths, "ratios": {}, "gigabytes_per_second": {}}
    return row if device == "cpu" else row | _on_gpu(paths, dict.fromkeys(paths, 0.25))


def test_a_row_of_one_device_never_takes_the_place_of_anothers(checkout):
    key = ("shapes", "threads", "device", "memory")
    for device in ("cpu", "NVIDIA H100", "NVIDIA H200", "NVIDIA H100"):
        record.start("two").put([of(device, 2.0)], key=key)
    assert [row["device"] for row in record.read("two", record.RESULTS).rows] == [
        "cpu",
        "NVIDIA H100",
        "NVIDIA H200",
    ]


def test_cards_have_tables_of_their_own_beside_that_of_cpus():
    rows = tuple(row | {"origin": 0} for row in (of("cpu", 50.0), of("NVIDIA H100", 1.5)))
    told = docs.step(Results(1, "a", rows, (Origin(),)))
    cpu, gpu = told.split("On one NVIDIA H100:\n\n")
    assert "50.0" in cpu
    assert "1.5" not in cpu
    assert "| PATS Adamax, fused | 1.5 (host 0.25) |" in gpu
    share = BYTES["PATS, streamed"] / 8
    assert f"| PATS Adamax, fused, 48 bytes a parameter | {share} |" in gpu
    assert "50.0" not in gpu


def test_what_was_measured_before_is_told_as_it_stood():
    """One card, one commit, and by no command of the project."""
    results = record.read("gpu_before")
    assert {origin.commit[:7] for origin in results.origins} == {"eba52a9"}
    assert {origin.machine.gpu for origin in results.origins} == {"NVIDIA H100 80GB HBM3"}
    text = tables.before(results)
    assert "| PATS Adamax, fused | 50.6 (host 50.6) | 128 | 379 |" in text
    assert "| PATS | 164 | 33 |" in text
    assert json.dumps(results.rows[-1]["steps_per_second"]) == "58"


def test_a_copy_without_git_names_its_commit(checkout, monkeypatch):
    monkeypatch.setenv(record.COMMIT, "0" * 40)
    assert record.start("two").origin.commit != "0" * 40  # what is kept names the commit that it is of
    monkeypatch.setenv(record.TRY, "1")
    assert record.start("two").origin.commit == "0" * 40
