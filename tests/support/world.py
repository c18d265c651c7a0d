"""A world of processes on gloo that calls functions as long as it lives: starting one takes seconds."""

import os
import socket
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import yaml

TIMEOUT = 120  # seconds after which a collective that nobody joins fails


class World:
    """Processes of one process group, started at the first call.

    Args:
        ranks: How many.
        patience: Seconds after which a call that has not returned fails.
    """

    def __init__(self, ranks: int, patience: float = 2 * TIMEOUT) -> None:
        self.ranks, self._patience = ranks, patience
        self._processes: list[Any] = []

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """``function(*arguments)`` on every rank; returns what each of them returned.

        An exception on any rank raises here, with the tracebacks, and ends the world.
        """
        if not self._processes:
            self._start()
        for inbox in self._inboxes:
            inbox.put((function, arguments))
        found: dict[int, Any] = {}
        errors = []
        while len(found) < self.ranks:
            rank, value, error = self._outbox.get(timeout=self._patience)
            found[rank] = value
            if error is not None:
                errors.append(f"on rank {rank}:\n{error}")
                if "Timeout" not in error and "Connection closed" not in error:
                    break  # the others only wait for this one
        if errors:
            self.end()
            raise AssertionError("\n".join(errors))
        return [found[rank] for rank in range(self.ranks)]

    def _start(self) -> None:
        context = mp.get_context("spawn")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._outbox = context.Queue()
        self._inboxes = [context.SimpleQueue() for _ in range(self.ranks)]
        self._processes = [
            context.Process(target=_serve, args=(rank, self.ranks, port, inbox, self._outbox), daemon=True)
            for rank, inbox in enumerate(self._inboxes)
        ]
        for process in self._processes:
            process.start()

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()
        self._processes = []


def _serve(rank: int, ranks: int, port: int, inbox: Any, outbox: Any) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=ranks, timeout=timedelta(seconds=TIMEOUT))
    while True:
        function, arguments = inbox.get()
        try:
            outbox.put((rank, function(*arguments), None))
        except Exception:
            outbox.put((rank, None, traceback.format_exc()))


def by_the_example() -> dict[str, str]:
    """The environment in which Accelerate's launcher starts processes for ``examples/fsdp2.yaml``."""
    settings = yaml.safe_load((Path(__file__).parents[2] / "examples" / "fsdp2.yaml").read_text())
    names = {"FSDP_AUTO_WRAP_POLICY", "FSDP_STATE_DICT_TYPE"}
    given = {key.upper(): str(value) for key, value in settings["fsdp_config"].items()}
    given = {key: value if key in names else value.lower() for key, value in given.items()}
    return given | {"ACCELERATE_USE_FSDP": "true"}
