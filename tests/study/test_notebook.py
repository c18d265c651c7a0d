"""What a notebook shows of a study: one bar, and the report in a frame of its own."""

from html.parser import HTMLParser

from rich.console import Console

import pats
from pats.study import notebook
from pats.study.prepare import StudyData, show_notes
from pats.study.watch import Display
from support.stored_studies import store_study

STUDY = pats.Study(tasks=("rte",), methods=("vanilla", "pats"), seeds=2, lr=1e-4, baselines=())


class Frames(HTMLParser):
    """Collects the elements of a page, and what an iframe holds."""

    def __init__(self):
        super().__init__()
        self.tags, self.inner = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.inner += [value for name, value in attributes if name == "srcdoc"]


def test_a_page_stays_in_its_frame():
    page = '<p title="a">1 < 2 & "3"</p></iframe><script>alert(1)</script>'
    found = Frames()
    found.feed(notebook.inline(page))
    assert found.tags == ["iframe"]
    assert found.inner == [page]


def test_the_report_of_a_folder_is_inline(tmp_path):
    store = store_study(tmp_path / "study", STUDY, {"vanilla": (0.5, 0.6), "pats": (0.7, 0.8)})
    found = Frames()
    found.feed(pats.report(store.root)._repr_html_())
    assert found.inner == [(store.root / "report.html").read_text()]


def test_one_bar_and_no_lines(tmp_path, capsys):
    store = store_study(tmp_path / "study", STUDY, {"vanilla": (0.5, 0.6), "pats": (0.7,)})
    console = Console(force_jupyter=True)
    shown = []
    console.print = lambda *told, **_: shown.append(told)
    cells = store.cells()
    show_notes(StudyData({}, {}, ("t: The label is column 'x'.", "t: Warning: two labels")), console)
    with Display(store, cells, console) as display:
        display.show(cells, 3)
        display.tick()
        display.changed(cells[0].runs[0])
    assert shown == [("t: Warning: two labels",)]
    last = capsys.readouterr().err.replace("\r", "\n").strip().splitlines()[-1]
    assert last.startswith("3 of 7 runs:  43%|")
