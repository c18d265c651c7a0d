"""Pages in headless Chromium, from disk and with the network off; axe-core finds nothing.

    make soak        writes pictures to out/page too

Needs chromium, node and npm, which brings playwright-core and axe-core into a temporary folder.
"""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import record
from pats import results
from pats.measure.distribution import Distribution
from pats.page.content import document
from pats.page.formats import html
from pats.page.numbers import tables
from pats.run.spec import Run
from support.made_results import make_result

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "out" / "page"
PACKAGES = ("playwright-core@1.65.1", "axe-core@4.14.1")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(CHROMIUM is None or shutil.which("npm") is None, reason="needs chromium and npm"),
]

METHODS = {
    "vanilla": ("vanilla", {}),
    "vanilla at pats's rate": ("vanilla", {}),
    "noisytune": ("noisytune", {}),
    "sage": ("sage", {}),
    "pats": ("pats", {"lam": 2e-6}),
    "std, relative 1e-2": ("pats", {"intensity": "std"}),
}
NOISE = {"noise_over_update": 2.5, "gated": 0.2, "zero": 0.01, "sigma_max": 0.1, "skipped": 0.0}
KINDS = [
    f"encoder.layer.*.{part}.{end}"
    for part in ("attention.self.key", "output.dense")
    for end in ("weight", "bias")
]


def cells(tasks, model, seeds):
    """Every case that a page can show: failed, constant and missing runs, control rows, several seeds."""
    draw = np.random.default_rng(0)
    found = []
    for task in tasks:
        for place, (label, (method, options)) in enumerate(METHODS.items()):
            outcomes = []
            for seed in range(seeds):
                run = Run(task=task, model=model, method=method, options=options).with_seed(seed)
                kind = (place, seed)
                if kind == (3, 1):
                    outcomes.append(
                        results.Outcome(seed, run.id, None, "its process was killed 3 times; <b>")
                    )
                    continue
                if kind == (4, seeds - 1):
                    outcomes.append(results.Outcome(seed, run.id))
                    continue
                scores = 0.5 + 0.03 * np.arange(6) + 0.01 * place + draw.normal(0, 0.02, 6)
                telemetry = {
                    name: NOISE | {"noise_over_weight": 0.01 * (n + 1)} for n, name in enumerate(KINDS)
                }
                result = make_result(
                    run,
                    scores.tolist(),
                    degenerate=kind == (2, 0),
                    telemetry=telemetry if method == "pats" else {},
                    timings={"train": 60.0 + seed + place, "examples_per_second": 80.0},
                    environment={
                        "time": "2026-11-24T01:42:23+00:00",
                        "cpu": "made",
                        "packages": {"torch": "2"},
                    },
                )
                outcomes.append(results.Outcome(seed, run.id, result))
            found.append(
                results.Cell(task, model, label, method, 1e-4, tuple(outcomes), label.endswith("rate"))
            )
    return found


def measured(label, seed):
    whole = Distribution()
    generator = torch.Generator().manual_seed(seed)
    whole.add(torch.empty(20_000, dtype=torch.float64).log_normal_(-14, 2, generator=generator))
    parts = {str(layer): whole.summary() for layer in range(6)}
    about = {"label": label, "task": "cola", "reduce": "batch", "batches": 8, "batch_size": 32}
    return about | {
        "whole": whole.to_dict(),
        "by_layer": parts,
        "by_kind": dict.fromkeys(KINDS, whole.summary()),
    }


def pages(folder):
    """A page of every kind, made by hand; real pages are looked at as well where PATS_PAGE names them."""
    figure2 = {"models": [measured("vanilla", 1), measured("pats", 2)]}
    groups = tables.groups(cells(("cola", "rte"), "bert-base-uncased", 5))
    points = [
        {
            "method": method,
            "fraction": share,
            "examples": int(8000 * share),
            "seed": seed,
            "score": 20 + 30 * share,
        }
        | {"std": 1e-5 / share, "cv": 2.0, "gini": 0.5, "insensitive": 0.1}
        for method in ("vanilla", "pats")
        for share in (0.05, 0.1, 0.25, 1.0)
        for seed in range(3)
    ]
    figure3 = {"task": "cola", "labels": ["vanilla", "pats"], "points": points}
    typed = "pats compare --tasks cola rte"
    source = document.Source(typed, {"seeds": 5}, sensitivity=figure2, data_size=figure3, folder="out/x")
    told = {
        "report": document.document(groups, source),
        "sensitivity": document.sensitivity_document(figure2),
        "data_size": document.data_size_document(
            points, ["vanilla", "pats"], "cola", "minilm", "pats data-size"
        ),
    }
    for name, page in told.items():
        (folder / f"{name}.html").write_text(html.html(page), encoding="utf-8")
    more = os.environ.get("PATS_PAGE", "").split()
    return [*(folder / f"{name}.html" for name in told), *(Path(name).resolve() for name in more)]


def test_pages(tmp_path):
    recording = record.start("page")
    PICTURES.mkdir(parents=True, exist_ok=True)
    install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", *PACKAGES]
    (tmp_path / "package.json").write_text("{}")
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True)
    script, axe = ROOT / "tests" / "soak" / "page.mjs", tmp_path / "node_modules" / "axe-core" / "axe.min.js"
    command = ["node", str(script), str(CHROMIUM), str(axe), str(PICTURES), *map(str, pages(tmp_path))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    browser = {"chromium": told["chromium"], **dict(package.split("@") for package in PACKAGES)}
    origin = replace(recording.origin, versions={**recording.origin.versions, **browser})
    recording.put(told["found"], origins=[origin] * len(told["found"]))
    for view in told["found"]:
        if view.get("scripts") is False:
            assert view["sentences"] > 0, view
            assert view["shown"] == view["tables"] > 0, view
            continue
        assert view["charts"] > 0, view
        assert view["empty"] == 0, view
        assert view["errors"] == view["requests"] == [], view
        assert view["overflow"] <= 0, view
        assert view["sorted"] == "ascending", view
        assert view["violations"] == [], view
