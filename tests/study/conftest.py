import pytest

from support.tiny_bert import make_table, make_tiny_bert


@pytest.fixture(scope="session")
def study_inputs(tmp_path_factory):
    """A folder with ``bert/`` and ``texts.csv``."""
    folder = tmp_path_factory.mktemp("study")
    make_tiny_bert(folder / "bert")
    make_table(folder / "texts.csv", rows=160)
    return folder
