"""The numbers of rliable and deepsig that our statistics are tested against.

Run once in an environment of its own, as neither package is one of ours:

    python -m venv oracle && oracle/bin/pip install rliable==1.2.0 deepsig==1.2.8 "numpy<2.5" "pandas<3"
    oracle/bin/python tests/page/numbers/golden/make.py > tests/page/numbers/golden/numbers.json
"""

import json
import sys
import warnings
from importlib.metadata import version

import numpy as np
from deepsig import aso
from rliable import library, metrics

warnings.filterwarnings("ignore")


def scores(seed, runs, tasks, shift=0.0):
    """Runs × tasks, skewed and of different spreads, six digits each."""
    draw = np.random.default_rng(seed)
    return np.round(shift + draw.gamma(2.0, 0.1, (runs, tasks)) * np.linspace(0.5, 2, tasks), 6)


def rliable():
    found = []
    for runs, tasks in ((3, 2), (5, 8), (10, 3), (7, 1)):
        ours, theirs = scores(1, runs, tasks, 0.05), scores(2, runs, tasks)
        # IQM with a bootstrap stratified by task, as in its paper: 20,000 resamples, percentiles.
        point, interval = library.get_interval_estimates(
            {"a": ours},
            lambda x: np.array([metrics.aggregate_iqm(x)]),
            reps=20_000,
            random_state=np.random.RandomState(0),
        )
        found.append(
            {
                "ours": ours.tolist(),
                "theirs": theirs.tolist(),
                "iqm": float(point["a"][0]),
                "interval": [float(value) for value in interval["a"][:, 0]],
                "probability_of_improvement": float(metrics.probability_of_improvement(ours, theirs)),
            }
        )
    return found


def deepsig():
    found = []
    for runs, shift in ((10, 0.0), (10, 0.1), (20, 0.05), (15, -0.05)):
        ours, theirs = scores(3, runs, 1, shift)[:, 0], scores(4, runs, 1)[:, 0]
        values = [
            float(
                aso(
                    ours,
                    theirs,
                    confidence_level=0.95,
                    num_bootstrap_iterations=5000,
                    seed=seed,
                    show_progress=False,
                )
            )
            for seed in range(3)
        ]
        found.append({"ours": ours.tolist(), "theirs": theirs.tolist(), "epsilon": values})
    return found


json.dump(
    {
        "made by": "tests/page/numbers/golden/make.py",
        "packages": {name: version(name) for name in ("rliable", "deepsig", "numpy", "scipy")},
        "rliable": rliable(),
        "deepsig": deepsig(),
    },
    sys.stdout,
    indent=1,
)
sys.stdout.write("\n")
