"""``--skips FILE``: print the skipped tests, and fail where one is not on the list with a reason.

A skipped test shows nothing, yet a suite of skipped tests is green. ``tests/conftest.py`` loads this.
"""

import platform
import sys
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

HERE = f"{sys.platform} {platform.machine()}"


@dataclass(frozen=True)
class Allowed:
    """An entry of the list; all but the reason are patterns as a shell has them.

    Args:
        message: What the skip says.
        reason: Why it may be skipped.
        where: Systems on which it may, such as ``"linux aarch64"``.
        tests: Ids of the tests that may.
    """

    message: str
    reason: str
    where: Sequence[str] = ("*",)
    tests: str = "*"

    def allows(self, test: str, message: str) -> bool:
        """Whether the test may be skipped here with this message."""
        here = any(fnmatchcase(HERE, pattern) for pattern in self.where)
        return here and fnmatchcase(test, self.tests) and fnmatchcase(message, self.message)


def read(path: Path) -> list[Allowed]:
    """The entries ``[[skip]]`` of a file."""
    return [Allowed(**entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["skip"]]


class Skips:
    """Gathers the skips; under xdist the controller does, which is sent every worker's."""

    def __init__(self, allowed: Sequence[Allowed]) -> None:
        self._allowed = allowed
        self._listed: dict[str, int] = defaultdict(int)
        self._unlisted: dict[str, list[str]] = defaultdict(list)  # the tests, by message

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._take(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._take(report)

    def _take(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        told = report.longrepr[2] if isinstance(report.longrepr, list | tuple) else str(report.longrepr)
        message = str(told).removeprefix("Skipped: ")
        for one in self._allowed:
            if one.allows(report.nodeid, message):
                self._listed[f"{message}: {one.reason}"] += 1
                return
        self._unlisted[message].append(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._unlisted and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        write = terminalreporter.write_line
        for line, count in sorted(self._listed.items()):
            write(f"skipped {count}: {line}")
        for message, tests in sorted(self._unlisted.items()):
            more = f" (and {len(tests) - 1} more)" if len(tests) > 1 else ""
            write(f"SKIPPED WITHOUT A REASON ON THE LIST: {tests[0]}{more}: {message}", red=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--skips", type=Path, metavar="FILE", help="fail if a skipped test is not listed there")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--skips")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Skips(read(path)))
