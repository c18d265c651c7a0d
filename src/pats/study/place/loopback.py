"""Where the ranks of one machine meet: a store that listens to this machine alone.

Torch's own rendezvous starts stores that listen on every interface, and asks nobody who comes for a password.
"""

import os
import socket
import sys

from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]
from torch.distributed.elastic.rendezvous import (
    RendezvousHandler,
    RendezvousInfo,
    RendezvousParameters,
    RendezvousStoreInfo,
    rendezvous_handler_registry,
)

BACKEND = "pats-loopback"
HOST = "127.0.0.1"


class Loopback(RendezvousHandler):
    """The rendezvous of one agent, whose store the ranks use too.

    Args:
        run_id: Prefix of the agent's own keys.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id, self._closed = run_id, False
        listener = socket.create_server((HOST, 0))
        self._port: int = listener.getsockname()[1]
        self._server = TCPStore(
            HOST, self._port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach()
        )

    @property
    def use_agent_store(self) -> bool:
        """The ranks are clients of this store, and start none of their own."""
        return True

    def get_backend(self) -> str:
        """Name of this kind."""
        return BACKEND

    def next_rendezvous(self) -> RendezvousInfo:
        """The only agent is there at once."""
        store = PrefixStore(self._run_id, self._server)
        return RendezvousInfo(store, 0, 1, RendezvousStoreInfo(HOST, self._port))

    def is_closed(self) -> bool:
        """Whether the agent has ended."""
        return self._closed

    def set_closed(self) -> None:
        """The agent ends."""
        self._closed = True

    def num_nodes_waiting(self) -> int:
        """Nobody else comes."""
        return 0

    def get_run_id(self) -> str:
        """Prefix of the agent's own keys."""
        return self._run_id

    def shutdown(self) -> bool:
        """The store ends with this process."""
        self._closed = True
        return True


def install() -> None:
    """Make ``BACKEND`` known to torch's launcher, and let the ranks' own sockets stay on this machine too."""
    rendezvous_handler_registry.register(BACKEND, _make)
    interface = "lo0" if sys.platform == "darwin" else "lo"
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(variable, interface)


def _make(parameters: RendezvousParameters) -> RendezvousHandler:
    return Loopback(parameters.run_id)
