"""The demo's data and model: nothing is known too early, and every flight of the year is scored as scikit-learn scores it."""

import json
import pathlib
import sys

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

DEMO = pathlib.Path(__file__).parents[2] / "demo"
BATCH = 5_000
# So many rows for every other model than the demo's own.
SOME = 20_000


@pytest.fixture(scope="module")
def demo():
    """The demo's programs as modules."""
    sys.path.insert(0, str(DEMO))
    import prepare
    import train

    yield prepare, train
    sys.path.remove(str(DEMO))


@pytest.fixture(scope="module")
def flights(demo):
    return demo[0].flights()


@pytest.fixture(scope="module")
def tables(demo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flights")
    demo[0].main(folder, 100)
    read = lambda name: pd.read_csv(folder / name, keep_default_na=False, na_values=[""])
    return read("history.csv"), read("replay.csv")


def test_arrivals_are_what_the_clock_at_the_destination_showed(flights):
    landed = flights[flights.arrival.notna()]
    minutes = lambda clock: clock // 100 * 60 + clock % 100
    shown = (minutes(landed.sched_arr_time) + landed.arr_delay - minutes(landed.arr_time)) % 1440
    assert shown.isin([0, 1440]).all(), "the source agrees with itself"
    taxiing = (landed.arrival - landed.departure).dt.total_seconds() / 60 - landed.dep_delay - landed.air_time
    assert taxiing.between(1, 300).all(), "between take-off and landing lies the time in the air, and around it some taxiing"
    assert 20 < taxiing.median() < 40
    first = flights[(flights.id == "UA1545-EWR-20130101T0515")].iloc[0]
    assert str(first.departure) == "2013-01-01 10:15:00+00:00"
    assert str(first.arrival) == "2013-01-01 14:30:00+00:00", "8:30 in Houston"


def test_flights_without_a_truth_never_get_one(flights):
    lost = flights.arr_delay.isna()
    assert lost.sum() == 9_430
    assert flights.arrival[lost].isna().all() and flights.late[lost].isna().all()
    assert (flights.late[~lost] == (flights.arr_delay[~lost] >= 15)).all()


def test_the_previous_leg_counts_only_if_it_had_landed(demo, flights):
    """The same by the plain definition, aircraft by aircraft."""
    got = demo[0].previous_delays(flights)
    day = pd.Timedelta(hours=24)
    some = sorted(flights.tailnum.dropna().unique())[::120]
    checked = known = 0
    for tail in some:
        of = flights[flights.tailnum == tail]
        legs = of[of.dep_delay.notna()]
        for row, flight in of.iterrows():
            before = legs[(legs.departure < flight.departure) & (legs.departure >= flight.departure - day)]
            last = before.iloc[-1] if len(before) else None
            landed = last is not None and pd.notna(last.arrival) and last.arrival <= flight.departure
            expected = last.arr_delay if landed else np.nan
            assert got[row] == expected or (np.isnan(got[row]) and np.isnan(expected)), flight.id
            checked, known = checked + 1, known + landed
    assert checked > 1_500 and known > 150


def test_the_weather_is_that_of_the_hour_before(demo, flights):
    prepare, _ = demo
    some = flights.iloc[::500].reset_index(drop=True)
    got = prepare.with_weather(some)
    weather = prepare.source("weather.csv")
    weather["hour_of"] = pd.to_datetime(weather.time_hour, utc=True)
    exact = 0
    for row, flight in got.iterrows():
        at = weather[(weather.origin == flight.origin) & (weather.hour_of <= flight.departure.floor("h") - pd.Timedelta(hours=1))]
        last = at.iloc[-1]
        if last.hour_of == flight.departure.floor("h") - pd.Timedelta(hours=1):
            exact += 1
            same = got.loc[row, prepare.WEATHER].astype(float) - last[prepare.WEATHER].astype(float)
            assert (same.isna() | (same == 0)).all(), flight.id
    assert exact > 0.99 * len(got)


def test_a_sample_is_part_of_the_whole_and_always_the_same(demo, flights):
    prepare, _ = demo
    few, more = prepare.kept(flights.id, 20), prepare.kept(flights.id, 50)
    assert 0.19 < few.mean() < 0.21 and (more | ~few).all()
    assert prepare.kept(flights.id[::-1], 20)[::-1].tolist() == few.tolist()


def deploy(url, name, model, signature, **how):
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(model, name="model", registered_model_name=name, signature=signature, **how)
    mlflow.MlflowClient().transition_model_version_stage(name, info.registered_model_version, "Production")
    pointer = {"pointer": f"models:/{name}/Production"}
    requests.put(f"{url}/api/v1/deployments/{name}", json=pointer, timeout=60).raise_for_status()
    for _ in range(600):
        state = requests.get(f"{url}/api/v1/loop", timeout=60).json()
        if state["idle"]:
            return
    raise AssertionError(state)


def scores(url, name, columns, rows):
    given = []
    for start in range(0, len(rows), BATCH):
        body = json.dumps({"columns": columns, "rows": rows[start : start + BATCH]})
        answer = requests.post(f"{url}/deployments/{name}/predict", body, headers={"content-type": "application/json"}, timeout=120)
        assert answer.status_code == 200, answer.text
        given += [one["score"] for one in answer.json()["predictions"]]
    return np.array(given)


def test_every_flight_is_scored_as_scikit_learn_does(demo, tables, url):
    _, train = demo
    columns = train.TEXTS + train.NUMBERS
    history, replay = (table.astype({name: "float64" for name in train.NUMBERS}) for table in tables)
    history = history.sample(10_000, random_state=0)
    every = replay[columns].astype(object).where(replay[columns].notna(), None).values.tolist()
    assert len(every) > 280_000

    own = train.pipeline(200, 4, 0.05).fit(history[columns], history.late)
    deploy(url, "flights-own", own, train.SIGNATURE, serialization_format="cloudpickle")
    np.testing.assert_allclose(
        scores(url, "flights-own", columns, every), own.predict_proba(replay[columns])[:, 1], rtol=1e-9, atol=0
    )
    trusted = skops.io.get_untrusted_types(data=skops.io.dumps(own))
    deploy(url, "flights-skops", own, train.SIGNATURE, serialization_format="skops", skops_trusted_types=trusted)
    some = replay[columns][:: len(replay) // SOME]
    rows = every[:: len(replay) // SOME]
    np.testing.assert_array_equal(
        scores(url, "flights-skops", columns, rows), scores(url, "flights-own", columns, rows), "one model, two formats"
    )

    scaled = ColumnTransformer([
        ("texts", OneHotEncoder(handle_unknown="ignore"), train.TEXTS),
        ("numbers", Pipeline([("fill", SimpleImputer(strategy="median")), ("scale", StandardScaler())]), train.NUMBERS),
    ])
    others = {
        "flights-forest": Pipeline([("columns", train.pipeline(1, 1, 0.1)["columns"]), ("model", RandomForestClassifier(30, min_samples_leaf=5, random_state=0))]),
        "flights-logistic": Pipeline([("columns", scaled), ("model", LogisticRegression(max_iter=300))]),
    }
    for name, model in others.items():
        model.fit(history[columns], history.late)
        deploy(url, name, model, train.SIGNATURE, serialization_format="cloudpickle")
        np.testing.assert_allclose(
            scores(url, name, columns, rows), model.predict_proba(some)[:, 1], rtol=1e-9, atol=0, err_msg=name
        )
