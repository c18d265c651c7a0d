"""Run the search for noise that helps, a stage at a time, by the plan in ``benchmarks/evidence/plan.yaml``.

    python -m benchmarks.evidence --stage tuning --data GLUE      # then screening, final, confirmation, base
    python -m benchmarks.evidence --stage all --data GLUE --workers 2 --folder mpnet-base=DIR
    python -m benchmarks.evidence --stage confirmation --arms plain pats --data GLUE     # these arms first
    python -m benchmarks.evidence --cost                          # hours that the plan takes, and has taken
    python -m benchmarks.evidence --again 5 --data GLUE           # runs drawn by chance give the same again
    python -m benchmarks.evidence --page                          # docs/evidence.md, from the results
    python -m benchmarks.evidence --tiny                          # a trial of all stages, in a minute

A run is on one core. Every result goes into ``benchmarks/results/evidence.json`` as soon as it is known, so
the same command goes on after a stop, and the file can be committed while it runs. Anything else must not
change in the checkout: rows name the commit that they were made from. ``pats watch out/evidence`` looks on.
"""

import argparse
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.evidence import cost, page
from benchmarks.evidence.agenda import AGAIN, Job, Known, Row, Unfinished
from benchmarks.evidence.plan import Plan, commit, read
from benchmarks.evidence.runs import Maker, check_arms, conduct, row, same
from benchmarks.evidence.tiny import TINY, Here
from pats._errors import InputError
from pats.run.folder import owned
from pats.run.result import Result
from pats.study import Study
from pats.study.place.local import LocalPlacer
from pats.study.place.protocol import Placer
from pats.study.store.results import Store

NAME = "evidence"
KEY = ("stage", "model", "arm", "task", "seed", "lr")
OUT = record.ROOT / "out" / NAME


def rows() -> tuple[Row, ...]:
    """What is known so far."""
    results = record.read(NAME, record.TRIED if os.environ.get(record.TRY) else None)
    return () if results is None else tuple(dict(one) for one in results.rows)


def put(found: Mapping[str, Any], result: Result | None, command: str) -> None:
    """Write a row down, with the machine and commit of its own run."""
    here = record.here(NAME)
    origin = here if result is None else record.described(result.environment, NAME, command)
    record.Recording(NAME, here).put([found], key=KEY, origins=[origin])


def registered(plan: Plan, stages: Sequence[str]) -> dict[str, Any]:
    """What rows say of their plan.

    Raises:
        SystemExit: It is in no commit, or is another one than when a stage began.
    """
    begun = {one["stage"]: one["plan"] for one in rows()}
    for stage in stages:
        if begun.get(stage, plan.digest) != plan.digest:
            raise SystemExit(
                f"stage {stage} began with another plan ({begun[stage]}, now {plan.digest}): restore it, or "
                f"delete the stage's rows from {NAME}.json to begin again"
            )
    if os.environ.get(record.TRY):
        return {"plan": plan.digest, "plan_commit": None, "plan_date": None}
    made, date = commit()
    return {"plan": plan.digest, "plan_commit": made, "plan_date": date}


def command(*words: str) -> str:
    """What was typed, without what names this machine."""
    return " ".join(["python -m benchmarks.evidence", *words, "--data GLUE"])


def perform(plan: Plan, name: str, make: Maker, engine: Placer, only: Sequence[str] | None = None) -> None:
    """Bring a stage to its end, or some of its arms; the others wait for a later call.

    Raises:
        Unfinished: It needs another stage's results, which are not all there.
        SystemExit: An arm of these is not of the stage.
    """
    stage, about, failed = plan.stages[name], registered(plan, [name]), set[str]()
    arms = Known(plan, rows()).arms(stage)
    check_arms(plan, arms)
    if stray := {*(only or ())} - {*arms}:
        raise SystemExit(f"stage {name} has no arm {', '.join(sorted(stray))}: it has {', '.join(arms)}")

    def left() -> list[Job]:
        jobs = Known(plan, rows()).todo(stage, failed)
        return [job for job in jobs if only is None or job.arm in only]

    def todo() -> list[Job]:
        return [] if Known(plan, rows()).spent() >= plan.hours else left()

    def ended(job: Job, result: Result | None, error: str | None) -> None:
        found = {"stage": name, **row(job, result, error), **about}
        if found["status"] != "done" and not stage.tunes:
            failed.add(job.arm)
        put(found, result, command("--stage", name))
        best = found["error"] if found["best"] is None else f"{100 * found['best']:.1f}"
        left = cost.hours_of(plan, todo())
        done = f"{name}: {job.arm} on {job.task}, seed {job.seed}, rate {job.rate:g}: {best}"
        print(f"{done}; about {left:.1f} hours of a core are left", flush=True)

    jobs = todo()
    print(
        f"stage {name}: {len(jobs)} runs, about {cost.hours_of(plan, jobs):.1f} hours of a core", flush=True
    )
    cells = [cell.to_dict() for cell in make.cells(jobs)]
    study = Study(tasks=stage.tasks, methods=(plan.plain,), seeds=stage.seeds, baselines=())
    if cells:
        make.store.save_study({"study": study.to_dict(), "cells": cells})
    conduct(make, engine, todo, ended)
    known = Known(plan, rows())
    for arm, why in known.dropped(stage).items():
        print(f"stage {name}: {arm} was dropped: {why}")
    if left():
        raise Unfinished(f"{plan.hours:g} hours of a core are spent: stage {name} stops here")


def again(plan: Plan, many: int, seed: int, make: Maker, engine: Placer) -> int:
    """Make runs again that are drawn by chance; returns how many gave something else."""
    about = registered(plan, [])
    done = [one for one in rows() if one["stage"] != AGAIN and one["status"] == "done"]
    chosen = random.Random(seed).sample(done, min(many, len(done)))
    jobs = {Job(*(one[name] for name in ("model", "arm", "task", "seed", "lr"))): one for one in chosen}
    print(f"{len(jobs)} of {len(done)} runs, drawn with --draw {seed}", flush=True)
    waiting, other = dict(jobs), []

    def ended(job: Job, result: Result | None, error: str | None) -> None:
        old = waiting.pop(job)
        equal = same(old, result)
        other.extend([] if equal else [job])
        found = row(job, result, error) | {"committed": {key: old[key] for key in ("best", "last")}}
        put({"stage": AGAIN, **found, "equal": equal, **about}, result, command(f"--again {many}"))
        print(f"{job.arm} on {job.task}, seed {job.seed}: {'equal' if equal else 'DIFFERENT'}", flush=True)

    conduct(make, engine, lambda: [*waiting], ended)
    return len(other)


def asked_for() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--stage", choices=[*read().stages, "all"], help="run a stage of the plan")
    what.add_argument("--again", type=int, metavar="N", help="make N known runs again, and compare")
    what.add_argument("--cost", action="store_true", help="print the hours that the plan takes")
    what.add_argument("--pace", action="store_true", help="measure the steps that --cost counts with")
    what.add_argument("--page", action="store_true", help="make docs/evidence.md from the results")
    what.add_argument("--tiny", action="store_true", help="a trial of all stages, with next to no training")
    parser.add_argument("--data", metavar="FOLDER", help="folder of GLUE")
    parser.add_argument("--arms", nargs="+", metavar="ARM", help="of --stage, these alone; others can follow")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time, each on a core (1)")
    parser.add_argument("--folder", nargs="+", default=[], metavar="MODEL=DIR", help="where weights lie")
    parser.add_argument("--draw", type=int, help="seed of --again's draw (default: by chance)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the runs (default: out/evidence)")
    return parser.parse_args()


def main() -> int:
    """Do what is asked."""
    asked = asked_for()
    plan = TINY if asked.tiny else read()
    if asked.tiny:
        os.environ[record.TRY] = "1"
    if asked.cost:
        print(cost.told(plan, Known(plan, rows())))
        return 0
    if asked.page:
        page.write()
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the run that is under way, too
    record.start(NAME)  # refuses a checkout with changes
    if asked.pace:
        cost.measure(plan, asked.data)
        return 0
    folders = dict(entry.partition("=")[::2] for entry in asked.folder)
    folder = asked.out / "tiny" if asked.tiny else asked.out
    if asked.again:
        folder = folder / f"again-{time.strftime('%Y%m%d-%H%M%S')}"
    try:
        return _with(asked, plan, Store(folder), folders)
    except InputError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        print("stopped: the same command goes on from here", file=sys.stderr)
        return 130


def _with(asked: argparse.Namespace, plan: Plan, store: Store, folders: Mapping[str, str]) -> int:
    engine: Placer = Here() if asked.tiny else LocalPlacer(asked.workers, cpus=1, gpus=0)
    make = Maker(plan, store, asked.data, folders)
    owned.claim(store.root, owned.STUDY)
    with store.exclusive():
        if asked.again:
            draw = secrets.randbelow(2**31) if asked.draw is None else asked.draw
            return int(again(plan, asked.again, draw, make, engine) > 0)
        names = [*plan.stages] if asked.tiny or asked.stage == "all" else [asked.stage]
        for name in names:  # before any of them runs
            model = plan.stages[name].model
            if plan.models[model].folder and model not in folders:
                raise SystemExit(f"stage {name} needs the weights of {model}: --folder {model}=DIR")
        for name in names:
            perform(plan, name, make, engine, asked.arms)
    return 0


if __name__ == "__main__":
    sys.exit(main())
