import dataclasses

import pytest

from benchmarks import claims, record, stale

ROWS = [{"size": 1}]


def nothing(checkout):
    pass


def fresh(checkout):
    record.start("two").put(ROWS)


def changed(checkout):
    fresh(checkout)
    checkout.write("two.py", "other\n")
    checkout.commit()


def changed_elsewhere(checkout):
    fresh(checkout)
    checkout.write("README.md", "other\n")
    checkout.commit()


def not_recorded(checkout):
    origin = record.start("two").origin
    record.start("two").put(ROWS, origins=[dataclasses.replace(origin, sources=None)])


def dirty(checkout):
    origin = record.start("two").origin
    record.start("two").put(ROWS, origins=[dataclasses.replace(origin, dirty=True)])


STATES = [
    (nothing, "missing"),
    (fresh, "fresh"),
    (changed, "stale"),
    (changed_elsewhere, "fresh"),
    (not_recorded, "unknown"),
    (dirty, "dirty"),
]


@pytest.mark.parametrize(("make", "expected"), STATES)
def test_state(checkout, monkeypatch, capsys, make, expected):
    make(checkout)
    capsys.readouterr()
    assert stale.state("two") == expected
    monkeypatch.setattr("sys.argv", ["stale"])
    assert stale.main() == 0
    first, *commands = capsys.readouterr().out.splitlines()
    assert first.split() == ["two", expected, "about", "1", "minutes"]
    assert [line.strip() for line in commands] == (
        [] if expected == "fresh" else [*stale.CLAIMS["two"].commands]
    )


REMADE = {
    "named": (fresh, ["two"], True),
    "all, missing": (nothing, [], True),
    "all, stale": (changed, [], True),
    "all, fresh": (fresh, [], False),
    "all, not recorded": (not_recorded, [], False),
}


@pytest.mark.parametrize(("make", "names", "expected"), REMADE.values(), ids=REMADE)
def test_run(checkout, monkeypatch, tmp_path, make, names, expected):
    make(checkout)
    done = tmp_path / "done"
    command = f"python -c \"import sys; open('{done}', 'w').write(sys.argv[2])\" --data GLUE"
    claim = dataclasses.replace(stale.CLAIMS["two"], commands=(command,))
    monkeypatch.setattr(stale, "CLAIMS", {"two": claim})
    monkeypatch.setenv(record.GLUE, "/a/glue")
    monkeypatch.setattr("sys.argv", ["stale", "--run", *names])
    assert stale.main() == 0
    assert done.exists() is expected
    if expected:
        assert done.read_text() == "/a/glue"


def test_a_command_that_fails_ends_its_claim(checkout, monkeypatch, capsys, tmp_path):
    after = tmp_path / "after"
    commands = ('python -c "raise SystemExit(3)"', f"touch {after}")
    monkeypatch.setattr(stale, "CLAIMS", {"two": dataclasses.replace(stale.CLAIMS["two"], commands=commands)})
    monkeypatch.setattr("sys.argv", ["stale", "--run"])
    assert stale.main() == 1
    assert not after.exists()
    assert capsys.readouterr().err == "not made: two\n"


@pytest.mark.parametrize("name", claims.CLAIMS)
def test_a_claim_names_what_there_is(name):
    claim = claims.CLAIMS[name]
    for source in claim.sources:
        assert (record.ROOT / source).exists(), source
    words = " ".join(claim.commands).split()
    for module in (word for word in words if word.startswith("benchmarks.")):
        path = record.ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
    for path in (word for word in words if word.startswith(("tests/", "benchmarks/"))):
        assert (record.ROOT / path).exists(), path
        assert path in claim.sources
