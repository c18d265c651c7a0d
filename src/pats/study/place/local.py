"""The local engine: every run is a process of this machine, threads and GPUs divided among them."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pats._errors import InputError
from pats.study.place import process, resources, sharing
from pats.study.place.protocol import Handle, NamedPlacer, State
from pats.study.place.template import CAN_FORK, Template


class LocalPlacer(NamedPlacer):
    """Up to ``workers`` processes at a time.

    Args:
        workers: Processes at a time; None is as many as the GPUs hold, else what ``cpus`` leaves room
            for, else two on up to eight cores and one for every four cores on more.
        cpus: Cores a run, which are its threads; None divides the cores among the workers.
        gpus: GPUs a run: a whole number, a share such as 0.5 for two runs on one GPU, or 0 for none; None
            is 1 where there are GPUs, until ``share_gpus`` knows how large a run is. Runs are spread over the
            GPUs evenly.
        processes: Processes a run, which share its batches; None is one a GPU.
        command: What runs an attempt.

    Attributes:
        forks: Whether processes are forked from one that has made their imports, see ``template``.

    Raises:
        InputError: A number is out of its range, ``processes`` and ``gpus`` do not fit, or there are fewer
            GPUs than a run asks for.
    """

    name = "local"

    def __init__(
        self,
        workers: int | None = None,
        cpus: int | None = None,
        gpus: float | None = None,
        processes: int | None = None,
        command: Sequence[str] = process.WORKER,
    ) -> None:
        resources.check_resources(workers, cpus, gpus, processes)
        self._gpus = [] if gpus == 0 else resources.visible_gpus()
        self._open = bool(self._gpus) and gpus is None and workers is None and processes in (None, 1)
        gpus = gpus or (processes or 1 if self._gpus else 0)
        self.processes = resources.ranks_of(gpus, processes)
        if gpus > len(self._gpus):
            has = f"has {len(self._gpus)}" if self._gpus else "has none"
            raise InputError(
                f"a run is to have {gpus:g} GPUs, but this machine {has} that torch can use: ask for fewer"
            )
        self._each = max(1, int(gpus))
        self._cpus, cores = cpus, resources.cores()
        self._divided = not self._gpus and workers is None and cpus is None and processes in (None, 1)
        fit = max(1, cores // cpus if cpus else resources.fitting(cores) // self.processes)
        self.workers = workers or (int(len(self._gpus) / gpus) if gpus else fit)
        self.threads = max(1, (cpus or cores // self.workers) // self.processes)
        self._hide = not gpus
        self._command = process.shared(command, self.processes)
        self._running: dict[Handle, tuple[int, process.Process]] = {}
        # A fork may not inherit a GPU that was looked at, and a launcher makes its processes itself.
        self.forks = CAN_FORK and self._hide and self._command == process.WORKER
        self._template: Template | None = None

    def share_gpus(self, bytes_a_run: int | None) -> str | None:
        """As many runs a GPU as it holds, unless ``gpus``, ``workers`` or ``processes`` were given."""
        if not self._open:
            return None
        self._open = False
        cores, count = resources.cores(), len(self._gpus)
        chosen = sharing.share(bytes_a_run, self._gpus, max(1, cores // count // (self._cpus or 1)))
        self.workers = count * chosen.runs
        self.threads = max(1, self._cpus or cores // self.workers)
        return chosen.why

    def one_at_a_time(self, alone: bool = True) -> bool:
        """Whether runs have all cores, one after another, unless somebody named how the cores are divided.

        Args:
            alone: One run at a time; False goes back to several.

        Returns:
            Whether that is different from before.
        """
        cores = resources.cores()
        workers = 1 if alone else resources.fitting(cores)
        if not self._divided or self.workers == workers:
            return False
        self.workers, self.threads = workers, max(1, cores // workers)
        return True

    def submit(self, attempt: Path) -> Handle:
        """Start a process."""
        taken = {slot for slot, _ in self._running.values()}
        slot = next(number for number in range(len(taken) + 1) if number not in taken)
        self._running[str(attempt)] = (slot, self._start(attempt, self._environment(slot)))
        return str(attempt)

    def _start(self, attempt: Path, environment: Mapping[str, str]) -> process.Process:
        self.forks = self.forks and not (self._template is not None and self._template.broken)
        if not self.forks:
            return process.launch(attempt, self._command, environment)
        if self._template is None or not self._template.fits(environment):
            # One that no longer fits ends with its last worker, which holds it.
            self._template = Template(environment)
        return self._template.start(attempt)

    def close(self) -> None:
        """End the process that workers are forked from; the next run starts another one."""
        if self._template is not None:
            self._template.close()
            self._template = None

    def _environment(self, slot: int) -> dict[str, str]:
        extra = {"CUDA_VISIBLE_DEVICES": ""} if self._hide else {}
        if self._gpus:
            at = slot % (len(self._gpus) // self._each) * self._each
            extra = {"CUDA_VISIBLE_DEVICES": ",".join(self._gpus[at : at + self._each])}
        return process.threads(self.threads) | extra

    def poll(self, handles: Collection[Handle]) -> dict[Handle, State]:
        """Processes that ended are reported once, and their place is free."""
        states: dict[Handle, State] = {}
        for handle in handles:
            if handle in self._running:
                states[handle] = process.state(self._running[handle][1].poll())
                if states[handle] != "running":
                    del self._running[handle]
        return states

    def cancel(self, handle: Handle) -> None:
        """End the process and wait for its end."""
        _, running = self._running.pop(handle, (0, None))
        if running is not None:
            process.end(running)

    def capacity(self) -> int:
        """Places that are free."""
        return self.workers - len(self._running)
