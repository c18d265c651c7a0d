"""``pats.report``: what a notebook gets, and that the verb writes the same."""

import json
import sys
from subprocess import run as start

import pytest

import pats
from pats import InputError, Study
from pats.cli import main
from pats.study.report import document_files
from support.stored_studies import store_study

TABLES = ["report.html", "report.md", "report.tex", "report.csv", "runs.csv"]
STUDY = Study(tasks=("rte",), methods=("vanilla", "pats"), seeds=2, lr=1e-4, baselines=())


@pytest.fixture
def folder(tmp_path):
    return store_study(tmp_path / "study", STUDY, {"vanilla": (0.5, 0.6), "pats": (0.7, 0.8)}).root


def test_the_page_and_its_tables(folder):
    written = pats.report(folder)
    assert written.files == tuple(folder / name for name in TABLES)
    assert "with 2 seeds each" in written.verdict[0]
    page = (folder / "report.html").read_text()
    assert all(sentence in page for sentence in written.verdict)
    assert "| pats | 2 | 75.0 |" in (folder / "report.md").read_text()
    flags = "--tasks rte --methods vanilla pats --lr 0.0001 --seeds 2 --baselines none"
    assert f"pats compare {flags} --out {folder}" in page


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_verb_writes_the_same(folder, tmp_path, capsys, elsewhere):
    out = tmp_path / "page" if elsewhere else None
    written = pats.report(folder, out)
    ours = {file.name: file.read_bytes() for file in written.files}
    for file in written.files:
        file.unlink()
    assert main(["report", str(folder), *(["--out", str(out)] if out else []), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"verdict": list(written.verdict), "files": [str(file) for file in written.files]}
    assert {file.name: file.read_bytes() for file in written.files} == ours


def test_a_notebook_shows_the_verdict_and_links(folder):
    written = pats.report(str(folder))
    shown = written._repr_html_()
    assert all(f'href="{file}"' in shown for file in written.files)
    risky = pats.Report(("a < b",), ())
    assert risky._repr_html_().startswith("<p>a &lt; b</p>")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"folder": "nowhere"}, "nowhere holds no study"),
        ({"sensitivity": "nowhere"}, r"nowhere/sensitivity\.json is missing: name the --out of pats sens"),
        ({"data_size": "nowhere"}, r"nowhere/data_size\.json is missing: name the --out of pats data-size"),
    ],
)
def test_bad_input(folder, arguments, said):
    with pytest.raises(InputError, match=said):
        pats.report(**{"folder": folder} | arguments)
    assert not (folder / "report.html").exists()


def test_an_unfinished_study_has_a_page(tmp_path):
    folder = store_study(tmp_path, STUDY, {"vanilla": (0.5,)}).root
    pats.report(folder)
    assert "3 runs still to come" in (folder / "report.md").read_text()


def test_a_users_file_stays(folder, tmp_path):
    target = tmp_path / "mine"
    target.mkdir()
    (target / "report.md").write_text("mine")
    with pytest.raises(InputError, match="not of PATS's making"):
        pats.report(folder, target)
    assert [(path.name, path.read_text()) for path in target.iterdir()] == [("report.md", "mine")]


def test_document_files():
    assert document_files("data_size") == ("data_size.html", "data_size.md", "data_size.tex")


def test_importing_pats_brings_no_page():
    code = "import sys, pats; 'report' in dir(pats) or sys.exit(1); sys.exit('pats.study' in sys.modules)"
    assert start([sys.executable, "-c", code], check=False).returncode == 0
