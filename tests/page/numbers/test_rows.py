import pytest

from pats.page.numbers.rows import Rows, packed, read

TEXTS = (('a "b", c',), ("two\nlines  of text",), ("",))


@pytest.mark.parametrize("groups", [(), ("x", "", "y")])
def test_rows_come_back(tmp_path, groups):
    one, pair = Rows(TEXTS, groups), Rows((("a", "b \r c"),))
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(packed([("dev", one), ("test", pair)]))
    assert read(path) == {"dev": one, "test": pair}
    assert one.words == [3, 4, 0]
    assert pair.words == [3]
    assert (one.shown(1), pair.shown(0)) == ("two lines of text", "a | b c")
    assert len(Rows((("word " * 100,),)).shown(0)) == 200


@pytest.mark.parametrize("content", [None, b"", b"\x1f\x8b\x08 cut"])
def test_a_page_does_without_them(tmp_path, content):
    path = tmp_path / "rows.csv.gz"
    if content is not None:
        path.write_bytes(content)
    assert read(path) == {}
