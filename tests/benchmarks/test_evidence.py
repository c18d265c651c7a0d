"""The search for noise that helps: its plan, its stopping rule, what it writes down, and its page."""

import dataclasses
import json
from collections import Counter

import pytest

from benchmarks import record
from benchmarks.evidence import advice, cost, findings, page, plan, runs
from benchmarks.evidence.agenda import Job, Known, Unfinished
from benchmarks.evidence.plan import Choice, Rule, Stage
from benchmarks.evidence.runs import check_arms
from pats.run import Run
from support.made_results import make_result

PLAN = plan.read()


def test_the_plan_fits_its_hours():
    parts = list(cost.planned(PLAN))
    assert [one.name for one in parts] == [*PLAN.stages]
    assert all(one.hours > 0 for one in parts)
    assert [one.runs for one in parts] == [46, 92, 80, 120, 6, 80]
    assert 15 < sum(one.hours for one in parts) <= PLAN.hours == 30


@pytest.mark.parametrize("arm", PLAN.arms)
def test_an_arm_can_be_run(arm):
    check_arms(PLAN, [arm])


def test_an_arm_that_no_method_serves_is_refused():
    own = dataclasses.replace(PLAN.arms["plain"], method="vanila")
    changed = dataclasses.replace(PLAN, arms=PLAN.arms | {"plain": own})
    with pytest.raises(SystemExit, match=r"^the arm plain of the plan cannot be run: "):
        check_arms(changed, ["plain"])


def test_no_seed_is_both_tuned_or_chosen_on_and_confirmed():
    seeds = {name: {*stage.seeds} for name, stage in PLAN.stages.items()}
    assert len(seeds["confirmation"]) == 10
    for name in ("confirmation", "base"):
        assert not any(seeds[name] & own for other, own in seeds.items() if other != name)
    assert not seeds["tuning"] & (seeds["screening"] | seeds["final"])


WRONG = {
    "a tuning seed": ({"screening": {"seeds": (1001, 2)}}, "screening has a seed that rates or arms"),
    "a chosen seed": ({"confirmation": {"seeds": (1, 101)}}, "confirmation has a seed that rates or arms"),
    "no such task": ({"final": {"tasks": ("mrpcc",)}}, "final names mrpcc"),
    "no such model": ({"final": {"model": "bert"}}, "final names bert"),
    "no such arm": ({"final": {"arms": Choice("screening", 4, ("pat",))}}, "final names an arm"),
    "later stage": ({"final": {"arms": Choice("base", 4)}}, "chooses of base, which does not come before"),
}


@pytest.mark.parametrize(("changes", "said"), WRONG.values(), ids=WRONG)
def test_a_plan_that_contradicts_itself_is_refused(changes, said):
    stages = {
        name: dataclasses.replace(stage, **changes.get(name, {})) for name, stage in PLAN.stages.items()
    }
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(PLAN, stages=stages)


def test_comments_do_not_change_the_plan_and_values_do(tmp_path):
    text = plan.PATH.read_text("utf-8")
    other = tmp_path / "plan.yaml"
    for change, same in (("# more\n" + text, True), (text.replace("below: -2.0", "below: -3.0"), False)):
        other.write_text(change, "utf-8")
        assert (plan.read(other).digest == PLAN.digest) is same
    other.write_text(text.replace("hours:", "hour:"), "utf-8")
    with pytest.raises(SystemExit, match=r"^plan\.yaml is no plan: "):
        plan.read(other)


# ------------------------------------------------------------------------------- rules, on made scores

SMALL = dataclasses.replace(
    PLAN,
    arms={name: PLAN.arms["pats"] for name in ("plain", "a", "b", "c")},
    rates=(1.0, 3.0),
    simple=(),
    stages={
        "tuning": Stage(("stsb",), (9,), tunes=True),
        "screening": Stage(("mrpc", "rte"), (1, 2), drop=(Rule(1, -5.0), Rule(2, -2.0))),
        "final": Stage(("mrpc",), (1, 2, 3), arms=Choice("screening", 1)),
        "confirmation": Stage(("rte",), (11, 12), arms=Choice("final", 1, ("c",))),
    },
)


def scored(job, points, stage="any", status="done"):
    return {
        "stage": stage,
        **dict(zip(("model", "arm", "task", "seed", "lr"), dataclasses.astuple(job), strict=True)),
        "best": None if status == "failed" else points / 100,
        "status": status,
        "seconds": 3600.0,
    }


def tuned(best):
    """Rows of the tuning, in which each arm's best rate is the given one."""
    known = Known(SMALL, [])
    trials = {arm: known.trials(arm, SMALL.stages["tuning"]) for arm in SMALL.arms}
    return [scored(job, 50 + (job.rate == best[arm])) for arm, jobs in trials.items() for job in jobs]


RATES = {"plain": 1.0, "a": 3.0, "b": 1.0, "c": 1.0}


def with_gaps(rows, stage, gaps):
    """Rows with a stage's runs, where plain fine-tuning has 70 and the others so many points more."""
    for _ in range(100):
        todo = Known(SMALL, rows).todo(SMALL.stages[stage])
        if not todo:
            break
        job = todo[0]
        rows = [*rows, scored(job, 70 + gaps.get((job.arm, job.seed), gaps.get(job.arm, 0.0)))]
    return rows


def test_every_arm_has_the_same_trials_and_takes_its_best_rate():
    trials = Known(SMALL, []).todo(SMALL.stages["tuning"])
    assert Counter(job.arm for job in trials) == dict.fromkeys(SMALL.arms, 2)
    assert [job.arm for job in trials][:2] == ["plain", "plain"]
    known = Known(SMALL, tuned(RATES))
    assert {arm: known.rate(arm, SMALL.stages["screening"]) for arm in RATES} == RATES
    even = [{**row, "best": 0.5} for row in tuned(RATES)]
    assert Known(SMALL, even).rate("a", SMALL.stages["screening"]) == 1.0
    with pytest.raises(Unfinished, match="stage tuning has not ended: a lacks its trial at 1"):
        Known(SMALL, []).todo(SMALL.stages["screening"])


def test_early_results_are_of_all_arms_and_plain_fine_tuning_comes_first():
    todo = Known(SMALL, tuned(RATES)).todo(SMALL.stages["screening"])
    first = [(job.arm, job.task) for job in todo if job.seed == 1]
    assert todo[: len(first)] == [job for job in todo if job.seed == 1]
    assert first == [(arm, task) for arm in ("plain", "a", "b", "c") for task in ("mrpc", "rte")]


def test_the_stopping_rule_drops_after_a_seed_and_after_two():
    gaps = {("a", 1): -6.0, ("b", 1): -4.0, ("b", 2): -1.0, "c": -1.9}
    rows = with_gaps(tuned(RATES), "screening", gaps)
    known, stage = Known(SMALL, rows), SMALL.stages["screening"]
    assert known.dropped(stage) == {
        "a": "-6.0 after 1 seed, below -5.0",
        "b": "-2.5 after 2 seeds, below -2.0",
    }
    assert not any(row["arm"] == "a" and row["seed"] == 2 for row in rows)
    assert known.arms(SMALL.stages["final"]) == ["plain", "c"]


def test_stages_follow_one_another_and_runs_are_made_once():
    rows = with_gaps(tuned(RATES), "screening", {"a": 1.0, "b": 2.0, "c": -1.0})
    final = Known(SMALL, rows).todo(SMALL.stages["final"])
    assert [(job.arm, job.seed) for job in final] == [("plain", 3), ("b", 3)]  # seeds 1 and 2 are known
    with pytest.raises(Unfinished, match="stage final has not ended: a run of b is missing"):
        Known(SMALL, rows).arms(SMALL.stages["confirmation"])
    ended = {name: Known(SMALL, rows).ended(stage) for name, stage in SMALL.stages.items()}
    assert ended == {"tuning": True, "screening": True, "final": False, "confirmation": False}
    rows = with_gaps(rows, "final", {})
    assert Known(SMALL, rows).ended(SMALL.stages["final"])
    assert Known(SMALL, rows).arms(SMALL.stages["confirmation"]) == ["plain", "b", "c"]
    assert Known(SMALL, rows).spent() == len(rows)


def test_a_late_arm_is_in_the_stage_that_names_it_alone():
    late = dataclasses.replace(PLAN.arms["pats"], options={"budget": 0.02}, late=True)
    named = Stage(("rte",), (21,), arms=Choice("confirmation", 0, ("d",)), rate=3.0)
    more = dataclasses.replace(SMALL, arms=SMALL.arms | {"d": late}, stages=SMALL.stages | {"half": named})
    rows = tuned(RATES)
    for stage in ("screening", "final", "confirmation"):
        rows = with_gaps(rows, stage, {"a": 1.0})
    known = Known(more, rows)
    assert all(known.ended(stage) for stage in SMALL.stages.values())
    assert [(job.arm, job.seed, job.rate) for job in known.todo(named)] == [
        ("plain", 21, 3.0),
        ("d", 21, 3.0),
    ]
    assert not known.ended(named)
    with pytest.raises(ValueError, match="stage half names no rate, and d was not tuned"):
        dataclasses.replace(more, stages=SMALL.stages | {"half": dataclasses.replace(named, rate=None)})


def test_an_arm_whose_run_failed_is_not_chosen_and_a_rate_that_failed_is_not_taken():
    rows = with_gaps(tuned(RATES), "screening", {"a": 1.0, "b": 2.0, "c": -1.0})
    broken = [
        {**row, "status": "failed", "best": None} if row["arm"] == "b" and row["seed"] == 2 else row
        for row in rows
    ]
    assert Known(SMALL, broken).arms(SMALL.stages["final"]) == ["plain", "a"]
    lost = [
        {**row, "status": "failed", "best": None} if row["arm"] == "a" and row["lr"] == 3.0 else row
        for row in tuned(RATES)
    ]
    assert Known(SMALL, lost).rate("a", SMALL.stages["screening"]) == 1.0


# --------------------------------------------------------------------------------- what was found


def test_the_page_is_what_the_command_makes():
    """``make evidence`` makes it."""
    assert page.PAGE.read_text("utf-8") == page.made()


def test_the_advice_is_ten_lines():
    assert len(advice.lines(PLAN, advice.Evidence.read())) == 10


def test_committed_results_are_younger_than_their_plan():
    results = record.read("evidence")
    for row in results.rows if results else ():
        begun = results.origins[row["origin"]].date
        assert row["plan_date"] <= begun


@pytest.mark.parametrize(
    ("timings", "seconds"), [({"total": 9.0, "cpu": 2.0}, 2.0), ({"total": 9.0}, 9.0), ({}, None)]
)
def test_what_else_a_machine_does_costs_no_hours(timings, seconds):
    job = Job("minilm", "plain", "stsb", 1, 1e-4)
    result = make_result(Run(task="stsb"), [0.5], timings=timings)
    assert runs.row(job, result)["seconds"] == seconds


def test_differences_are_paired_by_task_and_seed():
    plain = {("rte", 0): 60.0, ("rte", 1): 62.0, ("cola", 0): 20.0}
    arm = {("rte", 1): 63.0, ("rte", 0): 62.0, ("cola", 0): 19.0, ("cola", 1): 99.0}
    (found,) = findings.compare({"plain fine-tuning": plain, "arm": arm})
    assert found.gaps == {"rte": [2.0, 1.0], "cola": [-1.0]}
    assert found.all.mean == pytest.approx(0.25)  # every task counts alike
    assert found.pairs == 3


def test_a_partial_result_file_is_shown_as_far_as_it_goes():
    rows = with_gaps(tuned(RATES), "screening", {"a": -6.0, "b": 2.0, "c": -1.0})
    found = findings.of_stage(SMALL, Known(SMALL, rows[:-2]), SMALL.stages["screening"])
    assert [one.arm for one in found] == ["b", "c", "a"]
    assert [one.pairs for one in found] == [4, 2, 2]
    assert {one.tried for one in found} == {2}
    assert found[-1].note == "dropped: -6.0 after 1 seed, below -5.0"
    shared = findings.of_stage(SMALL, Known(SMALL, rows), SMALL.stages["final"])  # seeds that it shares
    assert [one.arm for one in shared] == ["b"]  # of its own arms alone


def test_a_stage_is_shown_once_it_has_begun():
    """Rows of the screening count for the final, too, but are none of it."""
    known = advice.Evidence.read()
    rows = [row for row in known.plan_rows if row["stage"] in ("tuning", "screening")]

    def shown(rows):
        return page._planned(PLAN, dataclasses.replace(known, plan_rows=tuple(rows)))

    assert "### Screening" in shown(rows)
    assert "### Final" not in shown(rows)
    assert "### Final" in shown([*rows[:-1], rows[-1] | {"stage": "final"}])


@pytest.mark.parametrize("missing", [0, 1])
def test_what_is_confirmed_leads_the_advice(missing):
    """With a run of the stage missing, an arm may be ahead, and is not called confirmed."""
    known = advice.Evidence.read()
    stages = {name: PLAN.stages[name] for name in ("tuning", "confirmation")}
    stages["confirmation"] = dataclasses.replace(stages["confirmation"], arms=None)
    arms = {arm: PLAN.arms[arm] for arm in ("plain", "pats", "soup")}
    only = dataclasses.replace(PLAN, arms=arms, stages=stages, simple=())
    jobs = [
        Job("minilm", arm, task, seed, min(PLAN.rates))
        for arm in arms
        for task, seeds in (
            ("rte", PLAN.stages["confirmation"].seeds),
            ("stsb", PLAN.stages["confirmation"].seeds),
        )
        for seed in seeds
    ]
    trials = [job for arm in arms for job in Known(PLAN, []).trials(arm, PLAN.stages["tuning"])]
    rows = [scored(job, 60.0 - 1e4 * job.rate) for job in trials]
    for job in jobs[: len(jobs) - missing]:
        rows.append(scored(job, 60.0 + (job.arm == "pats") * (1 + 0.1 * (job.seed % 3)), "confirmation"))
    lines = advice.lines(only, dataclasses.replace(known, plan_rows=tuple(rows)))
    leads = "**Beside plain fine-tuning, try what was confirmed on fresh seeds**: `pats` +1.1 ["
    assert lines[0].startswith(leads) is not bool(missing)
    assert (f"{len(PLAN.rates)} settings tried" in lines[0]) is not bool(missing)
    assert ("has not ended" in lines[0]) is bool(missing)
    soup = [row | {"best": row["best"] + 0.02} if row["arm"] == "soup" else row for row in rows]
    assert "`soup`" not in advice.lines(only, dataclasses.replace(known, plan_rows=tuple(soup)))[0]
    assert lines[3].startswith("**The default (`pats`) loses less than a point**: +1.1 [")
    assert json.dumps(lines) != json.dumps(advice.lines(PLAN, known))
