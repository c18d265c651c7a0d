"""One attempt in a process of its own: ``python -m pats.study.place.worker FOLDER [PARENT]``.

Exit codes: 0 a result was committed (or came second, or the attempt is not this process's to do), or the
attempt was asked to stop and has a checkpoint,
2 the input is bad, 1 memory ran out, or an exception, whose traceback is on stderr.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pats._errors import InputError, out_of_memory
from pats.run.folder.events import HEARTBEAT
from pats.run.spec import Run
from pats.run.stopping import Stopped
from pats.study.store.attempt import (
    WORKER,
    asked_to_stop,
    ended,
    occupy,
    read_spec,
    write_error,
)
from pats.study.store.results import Store


def work(attempt: Path, train: Callable[..., Any] | None = None) -> int:
    """Do the attempt's run from where an earlier one was left, and commit its result.

    An engine may deliver an attempt twice: the second process finds it occupied, and leaves. Under
    ``torchrun`` every process calls it alike, and the first one writes.

    Args:
        attempt: The attempt's folder.
        train: ``train(run, attempt)`` leaves ``result.json`` there; None is ``pats.finetune``.
    """
    spec = read_spec(attempt)

    def mine() -> bool:
        # Occupied first, asked second: a process that supersedes an attempt marks it first and looks second.
        return bool(spec) and occupy(attempt) and ended(attempt) is None

    writes = True
    if train is not None:
        free = mine()
    else:
        from pats.run import environment, finetune, ranks

        asked = partial(asked_to_stop, attempt)
        train = partial(finetune, report_to=spec.get("report_to", ()), stop=asked)
        ranks.join(environment.device())
        writes, free = ranks.is_first(), ranks.first(mine)
    if not free:
        sys.stderr.write(f"{attempt} is another process's, or has been given up: nothing to do\n")
        return 0
    run = Run.from_dict(spec["run"])
    try:
        train(run, attempt)
    except Stopped as stopped:
        sys.stderr.write(f"{stopped}\n")
        return 0
    except InputError as error:
        write_error(attempt, str(error))  # by every rank: the first one to end takes the others with it
        return 2
    except (MemoryError, RuntimeError) as error:
        told = out_of_memory(error)
        if told is None:
            raise
        write_error(attempt, told)  # made again it would run out again; the study's other runs go on
        sys.stderr.write(f"{told}\n")
        return 1
    if writes:
        Store(attempt.parents[3]).commit(attempt, run.id)
    return 0


def attend(attempt: Path, parent: int | None, signs: bool = True) -> None:
    """From a thread, give signs of life, and end this process when nobody needs it any more.

    That is within a second of its parent's end, so that no orphan lives on; and after another attempt
    has taken over, so that a node that was cut off does not do the same work twice.

    Args:
        attempt: The attempt's folder.
        parent: Process id of the parent; None asks for none.
        signs: False gives no signs of life: another process does.
    """

    def watch() -> None:
        beat = time.monotonic()
        while parent is None or os.getppid() == parent:
            time.sleep(0.5)
            if time.monotonic() - beat < HEARTBEAT:
                continue
            beat = time.monotonic()
            try:
                if signs:
                    os.utime(attempt / WORKER)
            except OSError:
                continue  # not occupied yet, or the file system is away for a moment
            if ended(attempt) is not None:
                sys.stderr.write(f"{attempt} has been given up: this process ends\n")
                break
        os._exit(1)

    if parent is not None and os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=watch, name="attend", daemon=True).start()


def main(attempt: Path, parent: int | None) -> int:
    """Do an attempt, as this process's only task; returns the exit code."""
    attend(attempt, parent, signs=os.environ.get("RANK", "0") == "0")
    return work(attempt)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))
