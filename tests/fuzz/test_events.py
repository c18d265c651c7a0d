"""The journal and the other files of an attempt: cut, garbled or of a later version."""

import json
import os

import pytest
from hypothesis import strategies as st

from support.fuzzing.damage import TEXTS, bytes_of, cut, json_of, values
from support.fuzzing.door import fuzzed, restored
from support.fuzzing.studies import EVENTS, Kept, make_study

DOOR = "events"

WHOLE = "".join(json.dumps(event) + "\n" for event in EVENTS).encode()
BESIDE = {
    "spec.json": {"run": {"task": "rte", "method": "pats"}, "lease": {"host": "a", "pid": 3, "started": "9"}},
    "worker.json": {"host": "a", "pid": 3, "started": "9"},
    "error.json": {"error": "it failed"},
    "handle.json": {"handle": "7"},
    "ended": "done",
    "stop": "",
}


@st.composite
def journals(draw):
    """A journal with lines that were changed, added, doubled or cut."""
    kind = draw(st.sampled_from(("lines", "lines", "lines", "bytes", "cut", "large")))
    if kind == "bytes":
        return draw(bytes_of(WHOLE))
    if kind == "cut":
        return draw(cut(WHOLE))
    lines = [json.dumps(event).encode() for event in EVENTS]
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(lines)))
        event = dict(draw(st.sampled_from(EVENTS)))
        event |= {"event": draw(st.sampled_from(("progress", "epoch", "end", "start", "later", "")))}
        event |= draw(
            st.dictionaries(st.sampled_from((*EVENTS[1], "train_loss", "status", "v")), values(), max_size=2)
        )
        line = draw(st.one_of(json_of(event), TEXTS.map(str.encode), st.just(json.dumps(event).encode())))
        lines.insert(place, line.replace(b"\n", b" "))
    if kind == "large":
        lines *= draw(st.sampled_from((2, 500)))
    return draw(st.sampled_from((b"\n", b"\r\n", b"\n\n"))).join(lines) + draw(st.sampled_from((b"", b"\n")))


@st.composite
def inputs(draw):
    content = {"events.jsonl": draw(journals())} if draw(st.integers(0, 3)) else {}
    if not content or draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from([*BESIDE]))
        told = BESIDE[name]
        content[name] = draw(json_of(told) if isinstance(told, dict) else TEXTS.map(str.encode))
    if draw(st.integers(0, 20)) == 0:
        content["events.jsonl"] = None  # a pipe, in which nothing ever comes
    return content, draw(st.sampled_from(("watch", "watch", "once", "export", "report")))


@pytest.fixture(scope="module")
def study(door):
    store = make_study(door.root / "study")
    (attempt,) = (path.parent for path in store.root.glob("runs/*/attempts/*/events.jsonl"))
    return store.root, attempt, Kept(store.root)


@fuzzed(inputs())
def test_an_attempt_is_read_whatever_it_says(door, study, tried):
    root, attempt, kept = study
    content, verb = tried
    for name, one in content.items():
        restored(attempt / name, one)
        if one is None:
            os.mkfifo(attempt / name)
    door.out.mkdir()
    argv = {
        "watch": ["watch", str(root), "--json"],
        "once": ["watch", str(root), "--once"],
        "export": ["export", str(root), str(door.out / "runs.csv")],
        "report": ["report", str(root), "--out", str(door.out / "page")],
    }[verb]
    try:
        door.command(argv, [root], codes=(0,))  # what one attempt says spoils nothing
    finally:
        kept.put_back()
