from pathlib import Path

import pytest

from benchmarks import checklist, record

PAGE = Path(__file__).parents[2] / "docs" / "releasing.md"

READY = {
    "src/pats/__init__.py": '__version__ = "0.2.0"\n',
    "CITATION.cff": "version: 0.2.0\n",
    "CHANGELOG.md": "## [Unreleased]\n\n## [0.2.0] - 2027-01-01\n\n- Better.\n\n## [0.1.0]\n\n- First.\n",
}
FAULTS = [
    ("CITATION.cff", "version: 0.1.0\n", "CITATION.cff has version 0.1.0, src/pats/__init__.py 0.2.0"),
    ("CHANGELOG.md", "## [Unreleased]\n\n- Better.\n", "says nothing below a heading [0.2.0]"),
    ("CHANGELOG.md", "## [0.2.0]\n\n## [0.1.0]\n\n- First.\n", "says nothing below a heading [0.2.0]"),
    (
        "CHANGELOG.md",
        "## [Unreleased]\n\n- A.\n" + READY["CHANGELOG.md"][15:],
        "entries below [Unreleased]",
    ),
]


@pytest.fixture
def ready(checkout):
    for name, text in READY.items():
        checkout.write(name, text)
    checkout.commit()
    return checkout


def test_a_version_that_is_ready(ready):
    assert [*checklist.versioned(ready.root)] == []


@pytest.mark.parametrize(("name", "text", "said"), FAULTS)
def test_a_version_that_is_not(ready, name, text, said):
    ready.write(name, text)
    assert said in "\n".join(checklist.versioned(ready.root))


def test_a_version_that_was_released(ready):
    record.git("tag", "v0.2.0")
    assert [*checklist.versioned(ready.root)] == ["the tag v0.2.0 exists: choose the next version"]


def test_another_branch_and_changes(ready):
    record.git("checkout", "-q", "-b", "other")
    ready.write("CITATION.cff", "version: 3\n")
    assert [*checklist.committed(ready.root)] == [
        "the branch is other: go to main",
        "not committed: CITATION.cff",
    ]


def test_results_are_fresh_or_named(ready):
    missing = "two.json is missing: make results RUN=two, or name it in CHANGELOG.md"
    assert [*checklist.recorded(ready.root)] == [missing]
    record.start("two").put([{"size": 1}])
    assert [*checklist.recorded(ready.root)] == []
    ready.write("two.py", "other\n")
    ready.commit()
    assert [one.split(":")[0] for one in checklist.recorded(ready.root)] == ["two.json is stale"]
    ready.write("CHANGELOG.md", "## [0.2.0]\n\n- two.json is older than its code.\n")
    assert [*checklist.recorded(ready.root)] == []


RELEASES = [
    ({"version": "0.2.0"}, [], []),
    ({"version": "0.1.0"}, [], ["release.json is not of version 0.2.0: make release"]),
    ({"version": "0.2.0"}, ["no kernel"], ["release.json: no kernel"]),
]


@pytest.mark.parametrize(("row", "wrong", "expected"), RELEASES)
def test_what_was_tried(ready, row, wrong, expected):
    content = record.text("a claim", [(row, record.Origin())], None, {"wrong": wrong})
    ready.write("benchmarks/results/release.json", content)
    assert [*checklist.tried(ready.root)] == expected


@pytest.mark.parametrize(("run", "code", "done"), [(True, 0, True), (True, 3, False), (False, 0, False)])
def test_a_command_counts_once_it_has_passed(tmp_path, capsys, run, code, done):
    steps = (checklist.Step("tests", command=f"touch here && exit {code}"),)
    assert checklist.walk(steps, tmp_path, run) is done
    assert (tmp_path / "here").exists() is run
    assert capsys.readouterr().out.startswith("[x] tests" if done else "[ ] tests\n      ")


def test_the_page_names_every_command():
    text = PAGE.read_text("utf-8")
    assert all(f"`{step.command}`" in text for step in checklist.STEPS if step.command)
