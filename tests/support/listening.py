"""On which addresses a process and all that it started listen (Linux)."""

import ipaddress
import os
from pathlib import Path


def family(root: int) -> list[int]:
    """Process ids of a process and its descendants."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{name}/stat").read_text()
        except OSError:
            continue
        children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(name))
    found = [root]
    for pid in found:  # grows while it is read
        found += children.get(pid, [])
    return found


def addresses(root: int) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Addresses of the listening TCP sockets of a process and its descendants."""
    sockets: set[str] = set()
    for pid in family(root):
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        sockets |= {link[8:-1] for link in links if link.startswith("socket:[")}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == "0A" and cells[9] in sockets:
                words = bytes.fromhex(cells[1].partition(":")[0])
                turned = b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))
                address = ipaddress.ip_address(turned)
                found.append(getattr(address, "ipv4_mapped", None) or address)
    return found
