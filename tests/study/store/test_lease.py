import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

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
