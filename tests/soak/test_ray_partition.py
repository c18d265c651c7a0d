"""200 runs on a Ray cluster of two nodes in two network namespaces, with a node killed and the network cut.

Needs root (``ip netns``, ``unshare``). Takes a quarter of an hour on two free cores.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from benchmarks import record
from pats.study.store.attempt import ended
from pats.study.store.results import Store
from support.killed_studies import alive, results_by_run
from support.tiny_bert import make_table, make_tiny_bert

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(4 * 3600),
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="needs iproute2"),
]

SEEDS = int(os.environ.get("PATS_SOAK_SEEDS", "100"))
NAMES = {"a": f"pats-a-{os.getpid()}", "b": f"pats-b-{os.getpid()}"}
ADDRESS = {"a": "10.77.0.1", "b": "10.77.0.2"}
NICE = os.environ.get("PATS_SOAK_NICE", "10")
RAY = str(Path(sys.executable).with_name("ray"))


def sh(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Network:
    """Two namespaces and the wire between them."""

    def __enter__(self):
        for name in NAMES.values():
            sh("ip", "netns", "add", name)
        sh("ip", "link", "add", "pats-va", "type", "veth", "peer", "name", "pats-vb")
        for side, name in NAMES.items():
            sh("ip", "link", "set", f"pats-v{side}", "netns", name)
            sh("ip", "-n", name, "addr", "add", f"{ADDRESS[side]}/24", "dev", f"pats-v{side}")
            sh("ip", "-n", name, "link", "set", "lo", "up")
            sh("ip", "-n", name, "link", "set", f"pats-v{side}", "up")
        return self

    def wire(self, state):
        sh("ip", "-n", NAMES["b"], "link", "set", "pats-vb", state)

    def __exit__(self, *_):
        for name in NAMES.values():
            for pid in sh("ip", "netns", "pids", name).split():
                os.kill(int(pid), signal.SIGKILL)
            sh("ip", "netns", "del", name)


def inside(side, *command, pids=False):
    """A command on one "machine": its own network and host name, and where asked its own processes."""
    spaces = ["--uts", *(["--pid", "--fork", "--mount-proc", "--kill-child"] if pids else [])]
    named = ["sh", "-c", f'hostname node-{side} && exec "$@"', "sh", *command]
    return ["ip", "netns", "exec", NAMES[side], "nice", "-n", NICE, "unshare", *spaces, *named]


class Node:
    """One Ray node; killing its process ends all that runs on it at once."""

    def __init__(self, side, folder):
        head = ["--head", "--port=6379", "--include-dashboard=false", f"--temp-dir={folder}"]
        joined = head if side == "a" else [f"--address={ADDRESS['a']}:6379"]
        common = [
            f"--node-ip-address={ADDRESS[side]}",
            "--num-cpus=1",
            "--object-store-memory=80000000",
            "--block",
        ]
        environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
        self.log = (folder / f"{side}.log").open("ab")
        command = inside(side, RAY, "start", *joined, *common, pids=side == "b")
        self.process = subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def workers(side):
    """Process ids of the runs on a "machine"."""
    found = []
    for pid in sh("ip", "netns", "pids", NAMES[side]).split():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"pats.study.place.worker" in command:
            found.append(int(pid))
    return found


def until(condition, process=None, seconds=3600):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        assert process is None or process.poll() is None, process.communicate()[1]
        time.sleep(0.5)
    raise AssertionError("waited in vain")


def done(out):
    return len(list(out.glob("runs/*/result.json")))


def caught(out, study):
    """A run on node b in the middle of its work, standing still: its process and its attempt."""
    while True:
        (pid,) = until(lambda: workers("b"), study)[:1]
        try:
            parts = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            attempt = Path(parts[parts.index(b"pats.study.place.worker") + 1].decode())
            until(lambda path=attempt / "events.jsonl", pid=pid: path.exists() or not alive(pid), study)
            os.kill(pid, signal.SIGSTOP)
        except (OSError, ValueError):
            continue  # it has just ended
        time.sleep(1)
        if (attempt / "events.jsonl").exists() and not (attempt / "result.json").exists():
            return pid, attempt
        os.kill(pid, signal.SIGCONT)
        until(lambda pid=pid: not alive(pid), study)


def ending(attempt, study):
    """How an attempt ended, and how long it took to see it."""
    at = time.monotonic()
    until(lambda: ended(attempt) is not None, study, 900)
    return {"attempt_ended_as": ended(attempt), "after_seconds": round(time.monotonic() - at, 1)}


def test_a_node_is_killed_and_the_network_is_cut(tmp_path):
    make_tiny_bert(tmp_path / "bert")
    make_table(tmp_path / "texts.csv", rows=160)
    out, folder = tmp_path / "out", Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    recording = record.start("ray_partition", ["ray"])
    told, started = {}, time.monotonic()
    command = [sys.executable, "-m", "pats.cli", "compare", "--out", str(out), "--quiet"]
    command += ["--data", str(tmp_path / "texts.csv"), "--models", str(tmp_path / "bert")]
    command += ["--methods", "vanilla", "pats", "--seeds", str(SEEDS), "--lr", "3e-3", "--steps", "20"]
    command += ["--batch-size", "8", "--engine", "ray", "--ray-address", f"{ADDRESS['a']}:6379"]
    total = 2 * SEEDS
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with Network() as network:
        nodes = {"a": Node("a", folder)}
        time.sleep(15)
        nodes["b"] = Node("b", folder)
        time.sleep(15)
        study = subprocess.Popen(inside("a", *command), **pipes)

        # 1. A node dies with what runs on it, and comes back.
        until(lambda: done(out) >= total // 8, study)
        _, killed = caught(out, study)
        nodes["b"].kill()
        told["killed_node"] = ending(killed, study)
        nodes["b"] = Node("b", folder)

        # 2. The network is cut, and with it the file system of that node: its processes stand still.
        until(lambda: done(out) >= total // 3, study)
        cut_off, left = caught(out, study)
        final = left.parents[1] / "result.json"
        network.wire("down")
        told["partition"] = ending(left, study)
        until(final.exists, study, 900)
        before = final.read_bytes()
        network.wire("up")
        os.kill(cut_off, signal.SIGCONT)
        until(lambda: not alive(cut_off), study, 120)
        assert final.read_bytes() == before
        nodes["b"].kill()  # Ray gives a node up that was away; an operator starts it again
        nodes["b"] = Node("b", folder)

        # 3. The network is cut, but not the file system: the run ends, and nobody but the store tells.
        until(lambda: done(out) >= total // 2, study)
        alone, kept = caught(out, study)
        network.wire("down")
        os.kill(alone, signal.SIGCONT)
        told["partition_with_files"] = ending(kept, study) | {"attempts": len(list(kept.parent.iterdir()))}
        network.wire("up")
        time.sleep(5)
        nodes["b"].kill()
        nodes["b"] = Node("b", folder)

        printed, errors = study.communicate()
        assert study.returncode == 0, errors
        again = subprocess.run(inside("a", *command), capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
        for node in nodes.values():
            node.kill()
    assert again.stdout == printed
    assert len(results_by_run(out)) == total
    store = Store(out)
    attempts = {path.name: store.attempts(path.name) for path in out.glob("runs/*")}
    assert all(store.winner(run_id) is not None for run_id in attempts)
    assert told["killed_node"]["attempt_ended_as"] == told["partition"]["attempt_ended_as"] == "lost"
    assert told["partition_with_files"]["attempts"] == 1
    row = {
        "runs": total,
        "results": len(results_by_run(out)),
        "failed_runs": 0,
        "attempts": sum(len(found) for found in attempts.values()),
        "runs_with_more_than_one_attempt": sum(len(found) > 1 for found in attempts.values()),
        "seconds": round(time.monotonic() - started),
    }
    recording.put([row | told])
    shutil.rmtree(folder, ignore_errors=True)
