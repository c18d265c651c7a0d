"""Verbs without what takes them long: an input shall reach the start of a training, and no step of it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from pats.run.result import Result
from support.fuzzing.door import Enough

# What the verbs call in the end, by where they find it.
LONG = (
    "pats.cli.bench.bench",
    "pats.cli.check.check",
    "pats.cli.sensitivity.measure",
    "pats.measure.export_onnx.export",
)


def _begins(*args: Any, **kwargs: Any) -> Any:
    raise Enough("it begins")


def _performed(session: Any, keep_model: bool) -> Result:
    _begins()
    raise AssertionError


def _served(server: Any, as_json: bool) -> None:
    server.server_close()
    _begins()


@contextmanager
def without_training() -> Iterator[None]:
    """Where a verb would begin its work, ``Enough`` is raised."""
    with ExitStack() as stack:

        def put(name: str, what: Callable[..., Any]) -> None:
            stack.enter_context(mock.patch(name, what))

        for name in LONG:
            put(name, _begins)
        put("pats.cli.serve._until_stopped", _served)
        put("pats.run.session._Session.__post_init__", lambda session: None)
        put("pats.run.session._Session.perform", _performed)
        put("pats.run.baseline.perform", _begins)
        put("pats.study.study_run.execute", _begins)
        put("pats.study.noise._measured", lambda *_: "not measured")
        yield
