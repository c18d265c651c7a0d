"""The journal of a run: one JSON object a line, appended while it happens."""

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Required, TypedDict

Event = dict[str, Any]


class Sign(TypedDict, total=False):
    """What the watcher of a run reads of an event."""

    event: Required[str]
    time: float
    step: int
    steps: int
    epoch: float
    loss: float | None
    train_loss: float | None


Listener = Callable[[Event], None]

HEARTBEAT = 15.0  # seconds between signs of life
_DURABLE = ("epoch", "end")  # forced to the disk: a resume or a watcher counts on them


class Journal:
    """Writes events to a file, and calls a listener.

    Every event has ``event`` (``start``, ``progress``, ``epoch``, ``end`` or ``heartbeat``) and
    ``time`` (seconds since 1970). Heartbeats go to the file alone, from a thread of their own, so that
    a watcher can distinguish a long evaluation from a dead process. Leaving the context by an exception
    writes ``end`` with status ``error``.

    Args:
        path: The file, appended to; None writes none.
        listener: Called with every event but heartbeats; its exceptions stop the run.
    """

    def __init__(self, path: Path | None, listener: Listener | None = None) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._file = path.open("a", encoding="utf-8") if path else None
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @property
    def heard(self) -> bool:
        """Whether somebody listens."""
        return self._listener is not None

    def emit(self, event: str, **values: Any) -> None:
        """Write one event, then call the listener."""
        record = {"event": event, "time": round(time.time(), 3), **values}
        self._write(record, durable=event in _DURABLE)
        if self._listener is not None:
            self._listener(record)

    def _write(self, record: Event, durable: bool) -> None:
        if self._file is None:
            return
        line = json.dumps(record, ensure_ascii=False, allow_nan=False)
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()
            if durable:
                os.fsync(self._file.fileno())

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            with suppress(OSError):  # one missed beat is no loss
                self._write({"event": "heartbeat", "time": round(time.time(), 3)}, durable=False)

    def __enter__(self) -> "Journal":
        if self._file is not None:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if kind is not None:
            record = {"event": "end", "time": round(time.time(), 3), "status": "error"}
            with suppress(OSError):  # the disk is full, say: what ended the run is reported, not this
                self._write(record | {"error": f"{kind.__name__}: {error}"}, durable=True)
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
