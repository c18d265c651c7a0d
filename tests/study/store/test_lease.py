import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pats.run.folder.events import HEARTBEAT
from pats.study.store import lease


def of(pid):
    return {"host": socket.gethostname(), "pid": pid, "started": lease.started(pid)}


@pytest.fixture
def sleeper():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process


@pytest.mark.parametrize("proc", [True, False], ids=["with /proc", "without"])
def test_a_process_lives_until_it_has_ended(sleeper, monkeypatch, proc):
    if not proc:
        monkeypatch.setattr(Path, "exists", lambda _: False)
    held = of(sleeper.pid)
    assert lease.lives(held)
    sleeper.communicate(b"\n")
    assert not lease.lives(held)


def test_without_proc_no_signal_is_sent(monkeypatch):
    """On Windows ``os.kill(pid, 0)`` is a Ctrl-C."""
    monkeypatch.setattr(Path, "exists", lambda _: False)
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("a signal"))
    monkeypatch.setattr(psutil, "pid_exists", lambda pid: pid == 7)
    assert lease.lives(of(7))
    assert not lease.lives(of(8))


def test_another_hosts_process_is_not_looked_for():
    assert not lease.lives({**of(os.getpid()), "host": "elsewhere"})


@pytest.mark.parametrize("touched_again", [True, False])
@pytest.mark.parametrize("ahead", [3600, 20 * 365 * 86400])
def test_a_clock_that_was_put_back_holds_nobody_for_ever(tmp_path, monkeypatch, ahead, touched_again):
    """Another host's mark from the future: whether it is touched again decides, not the time."""
    mark, slept = tmp_path / "coordinator.json", []
    mark.touch()
    later = time.time() + ahead
    os.utime(mark, (later, later))

    def sleep(seconds):
        slept.append(seconds)
        if touched_again:
            os.utime(mark)

    monkeypatch.setattr(time, "sleep", sleep)
    elsewhere = {"host": "elsewhere", "pid": 7}
    assert lease.at_work(elsewhere, mark) is touched_again
    assert slept == [2 * HEARTBEAT]
    assert lease.at_work(of(os.getpid()), mark)  # a process of this host is asked, not a clock


@pytest.mark.parametrize(("age", "works"), [(0, True), (60, True), (200, False)])
def test_a_sign_of_another_host_counts_for_ninety_seconds(tmp_path, monkeypatch, age, works):
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waited"))
    mark = tmp_path / "coordinator.json"
    mark.touch()
    then = time.time() - age
    os.utime(mark, (then, then))
    assert lease.at_work({"host": "elsewhere", "pid": 7}, mark) is works
