import pytest

from pats._errors import InputError
from pats.tasks.reading.encoding import decode, detect

PLAIN = "text,label\n" + "nothing but plain letters,x\n" * 20
RUSSIAN = "текст,метка\r\n" + "поезд и сад 7,да\r\n" * 20
ARABIC = "text,label\n" + "مرحبا بالعالم,إيجابي\n" * 20
CHINESE = "text,label\n" + "今天天气很好上上上,好\n" * 20


@pytest.mark.parametrize(
    ("text", "encoding", "said"),
    [
        (PLAIN, "ascii", None),
        (PLAIN + "naïve café ☕,x\n", "utf-8", None),
        ("\ufeff" + PLAIN, "utf-8", None),
        (PLAIN + "null\x00inside,x\n", "utf-8", None),
        ("text,label\nnull\x00inside,x\n", "utf-8", None),
        ("text,label\na\x00b,x\n" * 3, "utf-8", None),
        ("привет мир\n" * 9, "utf-8", None),
        (PLAIN + "naïve café, “so” it’s 5 € – œuvre,x\n", "cp1252", "line 22"),
        ("größer, süß und schön\n" * 9, "cp1252", "line 1"),
        ("señor, ¿qué? ¡así!\n" * 9, "latin-1", "Windows-1252"),
        ("straße £5 ½ ©\n", "latin-1", "Windows-1252"),
        (PLAIN + "café", "utf-16", "UTF-16"),
        (PLAIN, "utf-16-le", "without a byte order mark"),
        (PLAIN, "utf-32-le", "UTF-32, without a byte order mark"),
        (RUSSIAN, "utf-16-le", "UTF-16, without a byte order mark"),
        (PLAIN + "a \uf0b7 b \x02,x\n", "utf-16-le", "UTF-16, without a byte order mark"),
        (RUSSIAN, "utf-16-be", "UTF-16, without a byte order mark"),
        (RUSSIAN.strip(), "utf-16-le", "UTF-16, without a byte order mark"),
        (ARABIC, "utf-16-be", "UTF-16, without a byte order mark"),
        (CHINESE, "utf-16-le", "UTF-16, without a byte order mark"),
        (CHINESE, "utf-32-be", "UTF-32, without a byte order mark"),
        (PLAIN + "café", "utf-16-be", "without a byte order mark"),
        (PLAIN, "utf-32", "UTF-32"),
        ("", "ascii", None),
    ],
)
def test_texts_are_read_in_their_encoding(text, encoding, said):
    read, notes = decode(text.encode(encoding), "a.csv")
    assert read == text.removeprefix("\ufeff")
    assert bool(notes) is (said is not None)
    assert said is None or said in notes[0]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (PLAIN.encode() + "é".encode() * 9 + b"\xe9", "line 22 .* not UTF-8"),
        (("привет мир\n" * 9).encode("cp1251"), "neither UTF-8 nor Windows-1252"),
        (("zażółć gęślą jaźń, będę żałować\n" * 9).encode("cp1250"), "neither UTF-8 nor Windows-1252"),
        (("こんにちは世界\n" * 9).encode("shift-jis"), "neither UTF-8 nor Windows-1252"),
        (("γειά σου κόσμε\n" * 9).encode("iso8859-7"), "neither UTF-8 nor Windows-1252"),
        (bytes(range(256)), "no text"),
        (PLAIN.encode("utf-16")[:-1], "not UTF-16"),
    ],
)
def test_what_would_be_misread_is_refused(raw, said):
    with pytest.raises(InputError, match=said) as error:
        decode(raw, "a.csv")
    assert "a.csv" in str(error.value)
    assert "UTF-8" in str(error.value)


@pytest.mark.parametrize("size", range(len(PLAIN), len(PLAIN) + 4))
def test_a_beginning_may_end_within_a_character(size):
    raw = (PLAIN + "☕☕").encode()[:size]
    assert detect(raw, "a.csv", partial=True).codec == "utf-8"
