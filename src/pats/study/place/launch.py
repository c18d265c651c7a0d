"""One attempt on several processes of one machine, which share each batch: one a GPU.

    python -m pats.study.place.launch COUNT COMMAND... -- FOLDER [PARENT]

starts ``COMMAND FOLDER PID`` as so many ranks, through torch's elastic launcher (what ``torchrun`` is), where
PID is this process. They end with it, and it with PARENT; none of them listens to another machine. Exit codes
are those of a worker; where a signal ended a rank, 128 + 9, so that the coordinator repeats the attempt.
"""

import logging
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pats.study.place.worker import attend

GRACE = 3  # seconds between SIGTERM and SIGKILL, fewer than an engine gives this process


def main(argv: Sequence[str]) -> int:
    """Run the ranks to their end."""
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from pats.study.place import loopback

    at = argv.index("--")
    count, (program, *arguments), (folder, *parent) = int(argv[0]), argv[1:at], argv[at + 1 :]
    attend(Path(folder), int(parent[0]) if parent else None, signs=False)
    loopback.install()
    logging.disable(logging.ERROR)  # the log ends with what a rank says, not with how it was ended
    later: dict[str, Any] = {}
    if "shutdown_timeout" in LaunchConfig.__dataclass_fields__:  # torch 2.10 does not have it
        later["shutdown_timeout"] = GRACE
    with tempfile.TemporaryDirectory(prefix="pats-") as logs:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=uuid.uuid4().hex,
            rdzv_backend=loopback.BACKEND,
            local_addr=loopback.HOST,
            max_restarts=0,  # the coordinator repeats a lost attempt
            logs_specs=DefaultLogsSpecs(log_dir=logs),
            **later,
        )
        try:
            elastic_launch(config, program)(*arguments, folder, str(os.getpid()))
        except ChildFailedError as error:
            return verdict([failure.exitcode for failure in error.failures.values()])
        except SignalException:
            return 128 + signal.SIGTERM
    return 0


def verdict(codes: Sequence[int]) -> int:
    """The exit code of the whole, from those of the ranks that did not end well.

    The ranks that were left when the first one ended were sent SIGTERM, and are passed over. A rank that
    another signal ended comes first: what the others say then is that they miss it.
    """
    killed = any(code < 0 and code != -signal.SIGTERM for code in codes)
    own = [code for code in codes if code > 0]
    return 128 + signal.SIGKILL if killed or not own else own[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
