"""One attempt in a process of its own: ``python -m pats.study.worker FOLDER [PARENT]``.

Exit codes: 0 a result was committed (or came second), 2 the input is bad, 1 an exception, whose
traceback is on stderr.
"""

import os
import sys
import threading
import time
from pathlib import Path

from pats._errors import InputError
from pats.run.spec import Run
from pats.study.store import Store, read_spec, write_error, write_spec


def work(attempt: Path) -> int:
    """Do the attempt's run from where it was left, and commit its result."""
    run = Run.from_dict(read_spec(attempt)["run"])
    from pats.run import finetune, ranks

    writes = ranks.is_first()
    if writes:
        write_spec(attempt, run)  # from now on the lease is this process's
    try:
        finetune(run, attempt)
    except InputError as error:
        if writes:
            write_error(attempt, str(error))
        return 2
    if writes:
        Store(attempt.parents[3]).commit(attempt, run.id)
    return 0


def end_with(parent: int) -> None:
    """Let this process end within a second of its parent, so that no orphan lives on."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=watch, name="parent", daemon=True).start()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        end_with(int(sys.argv[2]))
    sys.exit(work(Path(sys.argv[1])))
