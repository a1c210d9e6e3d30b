"""What Optuna does, recorded for the tests of sweeps: decisions of its pruners, densities and results of its TPE sampler.

    pip install optuna==5.0.0 && python sweeps.py

writes `pruners.json`, `parzen.json` and `tpe.json` beside this file. The same numbers each time.
"""

import json
import math
import pathlib
import random

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from optuna.samplers._tpe.sampler import default_weights

HERE = pathlib.Path(__file__).parent
SEEDS = 40
TRIALS = 60

optuna.logging.set_verbosity(optuna.logging.ERROR)


def write(name, value, indent=None):
    text = json.dumps(value, indent=indent, separators=None if indent else (",", ":"))
    (HERE / name).write_text(text + "\n")


# Pruners: workers side by side, each report and what the pruner said of it.


def curve(rng, steps, first, stride, goal):
    """A noisy learning curve; now and then a value that is not a number, now and then a tie."""
    end, speed = rng.random(), 0.05 + 0.4 * rng.random()
    for index in range(steps):
        value = end + (1 - end) * math.exp(-speed * index) + 0.05 * rng.gauss(0, 1)
        value = round(value, 2) if rng.random() < 0.3 else value
        value = -value if goal == "maximize" else value
        yield first + stride * index, math.nan if rng.random() < 0.01 else value


def play(seed, goal, pruner, first, stride, trials=20, workers=5, steps=14):
    rng = random.Random(seed)
    study = optuna.create_study(direction=goal, pruner=pruner)
    events, active, made = [], [], 0
    while active or made < trials:
        if made < trials and len(active) < workers:
            active.append((study.ask(), curve(rng, rng.randint(steps // 2, steps), first, stride, goal), []))
            made += 1
            continue
        trial, reports, seen = one = active[rng.randrange(len(active))]
        report = next(reports, None)
        if report is None:
            study.tell(trial, seen[-1])
            events.append({"trial": trial.number, "end": "finished" if not math.isnan(seen[-1]) else "failed"})
            active.remove(one)
            continue
        step, value = report
        trial.report(value, step)
        seen.append(value)
        pruned = bool(trial.should_prune())
        events.append({"trial": trial.number, "step": step, "value": None if math.isnan(value) else value, "pruned": bool(pruned)})
        if pruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            active.remove(one)
    return events


def pruners():
    halving, median = optuna.pruners.SuccessiveHalvingPruner, optuna.pruners.MedianPruner
    cases = []
    for goal in ("minimize", "maximize"):
        for min_step, reduction, first, stride in ((1, 2, 1, 1), (1, 3, 0, 1), (2, 4, 1, 1), (3, 2, 5, 3)):
            rule = {"rule": "asha", "min_step": min_step, "reduction": reduction}
            pruner = halving(min_resource=min_step, reduction_factor=reduction)
            cases.append((goal, rule, pruner, first, stride))
        for startup, warmup, interval, least, stride in ((5, 0, 1, 1, 1), (1, 4, 3, 1, 1), (0, 2, 5, 4, 2), (8, 5, 1, 2, 1)):
            rule = {"rule": "median", "startup": startup, "warmup": warmup, "interval": interval, "min_trials": least}
            pruner = median(n_startup_trials=startup, n_warmup_steps=warmup, interval_steps=interval, n_min_trials=least)
            cases.append((goal, rule, pruner, 0, stride))
    played = []
    for seed, (goal, rule, pruner, first, stride) in enumerate(cases):
        played.append({"goal": goal, "stopping": rule, "events": play(seed, goal, pruner, first, stride)})
    write("pruners.json", played)


# Densities of the Parzen estimator.


def parzen():
    parameters = _ParzenEstimatorParameters(1.0, True, False, default_weights, True)
    rng = np.random.RandomState(1)
    spaces = {
        "uniform": ({"type": "uniform", "low": -2.0, "high": 3.0}, FloatDistribution(-2, 3)),
        "loguniform": ({"type": "loguniform", "low": 1e-5, "high": 0.1}, FloatDistribution(1e-5, 0.1, log=True)),
        "step": ({"type": "uniform", "low": 0.0, "high": 1.0, "step": 0.05}, FloatDistribution(0, 1, step=0.05)),
        "int": ({"type": "int", "low": 1, "high": 400}, IntDistribution(1, 400)),
        "int_log": ({"type": "int_log", "low": 1, "high": 5000}, IntDistribution(1, 5000, log=True)),
        "choice": ({"type": "choice", "values": ["a", "b", "c", "d"]}, CategoricalDistribution(("a", "b", "c", "d"))),
    }

    def draw(distribution, count):
        if isinstance(distribution, CategoricalDistribution):
            return rng.randint(0, len(distribution.choices), count).astype(float)
        low, high = distribution.low, distribution.high
        if distribution.log:
            drawn = np.exp(rng.uniform(np.log(low), np.log(high), count))
        else:
            drawn = rng.uniform(low, high, count)
        if distribution.step is not None:
            drawn = np.clip(low + np.round((drawn - low) / distribution.step) * distribution.step, low, high)
        # ties have no order of their own
        return rng.permutation(np.unique(drawn))

    cases = []
    for names in [[name] for name in spaces] + [["uniform", "loguniform", "choice"], ["int", "step", "choice"], list(spaces)]:
        for count in (0, 1, 2, 7, 25, 26, 27, 60):
            observed = {name: draw(spaces[name][1], count) for name in names}
            least = min((len(values) for values in observed.values()), default=0)
            observed = {name: values[:least] for name, values in observed.items()}
            estimator = _ParzenEstimator(observed, {name: spaces[name][1] for name in names}, parameters)
            points = {name: draw(spaces[name][1], 12) for name in names}
            least = min(len(values) for values in points.values())
            points = {name: values[:least] for name, values in points.items()}
            cases.append({
                "space": {name: spaces[name][0] for name in names},
                "observed": {name: list(values) for name, values in observed.items()},
                "points": {name: list(values) for name, values in points.items()},
                "log_density": list(estimator.log_pdf(points)),
            })
    write("parzen.json", cases)


# Results of the samplers on functions with known minima.


def branin(trial):
    x, y = trial.suggest_float("x", -5, 10), trial.suggest_float("y", 0, 15)
    b, c, t = 5.1 / (4 * math.pi**2), 5 / math.pi, 1 / (8 * math.pi)
    return (y - b * x * x + c * x - 6) ** 2 + 10 * (1 - t) * math.cos(x) + 10


ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
A = np.array([[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]])
P = 1e-4 * np.array([
    [1312, 1696, 5569, 124, 8283, 5886],
    [2329, 4135, 8307, 3736, 1004, 9991],
    [2348, 1451, 3522, 2883, 3047, 6650],
    [4047, 8828, 8732, 5743, 1091, 381],
])


def hartmann6(trial):
    x = np.array([trial.suggest_float(f"x{index}", 0, 1) for index in range(6)])
    return float(-(ALPHA * np.exp(-(A * (x - P) ** 2).sum(axis=1))).sum())


def mixed(trial):
    """Logarithmic, whole, chosen and conditional parameters, as of a booster."""
    lr = trial.suggest_float("lr", 1e-5, 1.0, log=True)
    depth = trial.suggest_int("depth", 2, 16)
    units = trial.suggest_int("units", 4, 1024, log=True)
    drop = trial.suggest_float("drop", 0.0, 0.6, step=0.1)
    kind = trial.suggest_categorical("kind", ["tree", "linear", "dart"])
    loss = (math.log10(lr) + 2) ** 2 + 0.05 * (depth - 7) ** 2 + 0.3 * (math.log2(units) - 6) ** 2 + 2 * (drop - 0.2) ** 2
    if kind == "dart":
        rate = trial.suggest_float("rate", 0.0, 1.0)
        return loss + 3 * (rate - 0.35) ** 2
    return loss + {"tree": 0.5, "linear": 2.0}[kind]


def best(function, sampler):
    study = optuna.create_study(sampler=sampler)
    study.optimize(function, n_trials=TRIALS)
    return study.best_value


def tpe():
    results = {}
    for function in (branin, hartmann6, mixed):
        results[function.__name__] = {
            "tpe": [best(function, optuna.samplers.TPESampler(seed=seed)) for seed in range(SEEDS)],
            "independent": [best(function, optuna.samplers.TPESampler(seed=seed, multivariate=False)) for seed in range(SEEDS)],
            "random": [best(function, optuna.samplers.RandomSampler(seed=seed)) for seed in range(SEEDS)],
        }
        print(function.__name__, {name: float(np.median(values)) for name, values in results[function.__name__].items()})
    write("tpe.json", {"optuna": optuna.__version__, "trials": TRIALS, "best": results}, indent=1)


if __name__ == "__main__":
    pruners()
    parzen()
    tpe()
