"""Doors: a folder each, and their counts when their tests have ended."""

import pytest

from support.fuzzing.door import Door


@pytest.fixture(scope="module")
def door(request, tmp_path_factory):
    """The door of a test module, which names it ``DOOR``; ``KNOWN`` are the audit events that it needs."""
    made = Door(request.module.DOOR, tmp_path_factory.mktemp("fuzz"), getattr(request.module, "KNOWN", ()))
    yield made
    made.write_tally()


@pytest.fixture(autouse=True)
def _light(monkeypatch):
    """Files need not survive a power failure here; nothing is asked of the hub."""
    monkeypatch.setattr("os.fsync", lambda handle: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def pytest_collection_modifyitems(items):
    """An input has a deadline of its own; the alarm is ours."""
    for item in items:
        if "fuzz" in item.path.parts[-2:-1]:
            item.add_marker(pytest.mark.timeout(0))
