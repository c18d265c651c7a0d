"""Ray where it is started for this machine alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pats import InputError
from pats.study.place import ray as ray_engine

START = """
import os, time
from support import listening
from pats.study.place.ray import RayPlacer
engine = RayPlacer(workers=1, cpus=1)
import ray
assert ray.get(ray.remote(lambda: 1).remote()) == 1
found = listening.addresses(os.getpid())
assert found
print(engine.capacity(), *{address.is_loopback for address in found})
print(ray._private.worker._global_node.get_session_dir_path())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.timeout(120)
def test_ray_listens_on_loopback_and_stands_a_long_tmpdir(tmp_path):
    """In a process of its own, as it is to be the first that starts Ray there."""
    pytest.importorskip("ray")
    long = tmp_path / ("x" * 90)
    long.mkdir()
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "TMPDIR": str(long), "PYTHONPATH": path, "RAY_AUTH_MODE": "disabled"}
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run(
        [sys.executable, "-c", START], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    capacity, session = done.stdout.splitlines()
    assert capacity == "1 True"
    assert session.startswith("/tmp/pats-ray-")
    assert not Path(session).parent.exists()  # gone with the process


@pytest.mark.parametrize(("variable", "root", "own"), [
    ("TMPDIR", "/tmp", False),
    ("TMPDIR", "/" + "x" * 30, False),
    ("TMPDIR", "/" + "x" * 40, True),
    ("RAY_TMPDIR", "/" + "x" * 90, True),
])  # fmt: skip
def test_ray_has_its_own_folder_unless_its_name_is_too_long(variable, root, own, monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(variable, root)
    folder = ray_engine._short_folder()
    assert (folder is not None) == own
    if own:
        Path(folder).rmdir()


def test_no_short_folder_is_a_sentence(monkeypatch):
    def full(**kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("RAY_TMPDIR", "/" + "x" * 90)
    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(
        InputError, match=r"^Ray cannot put its sockets under /x+, [^\n]*No space left.*at most 3"
    ):
        ray_engine._short_folder()
