"""Gathers what there is to learn from: the history, and every flight since then that was predicted and has landed.

    python fetch.py data/history.csv data/train.csv

The newest RONDO_PARAM_HOLDOUT_DAYS days before the deployment's watermark are left out: on them the candidate will be compared with
the version in production, so it must not have seen them. Standard library only, so that it starts in no time.
"""

import csv
import io
import json
import os
import sys
import urllib.error
import urllib.request
from datetime import datetime, timedelta

URL = os.environ["RONDO_URL"]
DEPLOYMENT = os.environ["RONDO_PARAM_DEPLOYMENT"]
HOLDOUT = timedelta(days=int(os.environ["RONDO_PARAM_HOLDOUT_DAYS"]))


def get(path: str) -> str:
    with urllib.request.urlopen(f"{URL}/api/v1/deployments/{DEPLOYMENT}{path}", timeout=60) as answer:
        return answer.read().decode()


def cut() -> str | None:
    """The first instant that is kept for the comparison; nothing before anything was predicted."""
    watermark = json.loads(get(""))["watermark"]
    if watermark is None:
        return None
    return (datetime.fromisoformat(watermark.replace("Z", "+00:00")) - HOLDOUT).strftime("%Y-%m-%dT%H:%M:%SZ")


def main(history: str, target: str) -> None:
    with open(history, newline="") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0])
    until = cut()
    logged = list(csv.DictReader(io.StringIO(get(f"/labelled?until={until}")))) if until else []
    for row in logged:
        rows.append(row | {"id": row["prediction_id"], "late": row["outcome"], "observed_at": row["observed"]})
    with open(target, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} flights up to {rows[-1]['event_time']}, {len(logged)} of them from the log of {DEPLOYMENT}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
