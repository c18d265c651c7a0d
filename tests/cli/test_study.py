from pats.cli import _study


def test_compare_flags_become_a_study():
    values = {"tasks": ["rte"], "methods": ["vanilla", "pats", "std=pats"], "seeds": [3, 5], "lr": 1e-4}
    values |= {"noise.budget": 0.1, "option": ["std.intensity=std", "std.budget=2"], "control": False}
    study = _study.build(values)
    assert study.seeds == (3, 5)
    assert study.control is False
    assert study.options == {"pats": {"budget": 0.1}, "std": {"budget": 2, "intensity": "std"}}
    assert values == {}
