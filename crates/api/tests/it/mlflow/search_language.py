"""Which filters and orders MLflow accepts: writes search_language.json beside this file, by asking MLflow's own stores.

    uv run --with mlflow==3.17.2 python crates/api/tests/it/mlflow/search_language.py

Each text is one search on an empty SQLite store. "accepted" is a search that ran, "rejected" one that MLflow answers with its own error,
"crashed" any other exception (a 500 on the wire): there we reject, whatever it is.
"""

import itertools
import json
import logging
import tempfile
import warnings
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

COMPARISONS = ["=", "!=", "<", "<=", ">", ">=", "LIKE", "ILIKE", "like", "IN", "NOT IN", "==", "<>", "RLIKE", "is", "BETWEEN"]
VALUES = ["1", "1.5", "-2", "1e3", "'x'", '"x"', "x", "`x`", "('a', 'b')", "(1, 2)", "''", "NULL", "true"]

SHAPES = [
    "", " ", ";", "{}", "{} ", " {}", "{};", "{} ; {}", "{} AND {}", "{} and {}", "{} AnD {}", "{} AND", "AND {}", "{} OR {}", "NOT {}",
    "({})", "({} AND {})", "{} AND ({})", "{}, {}", "{} {}", "{} && {}", "{} AND AND {}", "{} -- comment", "{} /* comment */",
    "{}\nAND\n{}", "{}\tAND\t{}", "SELECT 1", "{} UNION SELECT 1", "{} LIMIT 1", "{} ORDER BY name", "{} AND {} AND {} AND {}",
]


def runs():
    clauses = [
        "metrics.acc > 0.5", "metrics.`val acc` > 0.5", 'metrics."val acc" > 0.5', "metrics.'val acc' > 0.5", "metrics.val acc > 0.5",
        "metrics.val-acc > 0.5", "metrics.`val-acc` > 0.5", "metrics.a/b > 1", "metrics.`a/b` > 1", "metrics.a.b > 1", "metrics.1a > 1",
        "metrics.acc > .5", "metrics.acc > 5.", "metrics.acc > +5", "metrics.acc > - 5", "metrics.acc > -.5", "metrics.acc > 1E-3",
        "metrics.acc > 0x10", "metrics.acc > '1'", "metrics.acc > NaN", "metrics.acc > 1_000", "metrics.acc>1", "metrics.acc >1",
        "0.5 < metrics.acc", "metrics.acc > metrics.loss", "metrics. acc > 1", "metrics .acc > 1", "metrics.acc > 1 > 2", "metrics > 1",
        "metrics. > 1", ".acc > 1", "metric.acc > 1", "Metrics.acc > 1", "METRICS.acc > 1", "`metrics`.acc > 1", '"metrics".acc > 1',
        "params.lr = '0.1'", "params.lr = 0.1", "param.lr = '0.1'", "parameters.lr = 'x'", "parameter.lr = 'x'", "params.lr = lr",
        "params.lr = 'it''s'", "params.lr = 'a\\'b'", "params.lr = 'a\"b'", "params.lr = \"a'b\"", "params.lr = 'a", "params.lr = a'",
        "params.lr LIKE '%a%'", "params.lr like 'A%'", "params.lr ILIKE 'A%'", "params.lr NOT LIKE 'A%'", "params.lr IS NULL",
        "params.lr is null", "params.lr IS NOT NULL", "params.lr is not null", "params.lr IS  NULL", "params.lr IS", "params.lr NOT NULL",
        "params.lr IN ('a')", "params.lr = ('a')", "tags.x = 'y'", "tag.x = 'y'", "tags.`mlflow.user` = 'ada'", "tags.mlflow.user = 'ada'",
        'tags."mlflow.parentRunId" = \'x\'', "tags.x != 'y'", "tags.x > 'y'", "tags.x IS NULL", "tags.x IS NOT NULL", "tags.x IN ('y')",
        "attribute.status = 'FINISHED'", "attributes.status = 'FINISHED'", "attr.status = 'FINISHED'", "run.status = 'FINISHED'",
        "status = 'FINISHED'", "status = FINISHED", "status IN ('FINISHED')", "status LIKE 'F%'", "status > 'F'", "status = 1",
        "attribute.start_time > 1", "start_time > 1", "start_time > 1.5", "start_time > '1'", "start_time = 1", "start_time LIKE '1'",
        "end_time <= 1", "Created > 1", "created > 1", "attribute.created > 1", "end_time IS NULL", "start_time IN (1)",
        "run_id = 'x'", "run_id IN ('x')", "run_id IN ('x', 'y')", "run_id in ('x', 'y')", "run_id NOT IN ('x')", "run_id not in ('x','y')",
        "run_id IN ()", "run_id IN ('x',)", "run_id IN (x)", "run_id IN ('x' 'y')", "run_id IN ('x', 1)", "run_id IN 'x'", "run_id IN (\"x\")",
        "run_id IN ('x'", "attributes.run_id IN ('x')", "attribute.run_id LIKE 'x%'", "run_id > 'x'", "run_id IS NULL", "`run_id` = 'x'",
        "run_name = 'x'", "attribute.run_name = 'x'", "`run name` = 'x'", "attributes.`run name` = 'x'", "`Run Name` = 'x'", "run name = 'x'",
        "attribute.`Run name` = 'x'", "run_name ILIKE '%X%'", "run_name IN ('x')", "user_id = 'ada'", "attribute.user_id = 'ada'",
        "artifact_uri = 's3://x'", "artifact_uri LIKE 's3%'", "experiment_id = '0'", "lifecycle_stage = 'active'", "name = 'x'", "foo = 'x'",
        "attribute.foo = 'x'", "dataset.name = 'x'", "datasets.name = 'x'", "dataset.digest = 'x'", "dataset.context = 'train'",
        "dataset.name LIKE 'x%'", "dataset.name IN ('x', 'y')", "dataset.name > 'x'", "dataset.name = 1", "dataset.foo = 'x'",
        "dataset.profile = 'x'", "dataset.context NOT IN ('x')", "foo.bar = 'x'", "model.name = 'x'", "inputs.x = 'y'", "tags.x = y", "tags.x=\"y\"",
        "tags.x = ''", "params.`` = 'x'", "tags.`a b`.c = 'x'", "tags.order = 'x'", "tags.key = 'x'", "tags.group = 'x'", "tags.select = 'x'",
        "params.date = 'x'", "params.value = 'x'", "params.type = 'x'", "metrics.count > 1", "metrics.max > 1", "metrics.min > 1", "metrics.f1 > 1",
        "metrics.time > 1", "metrics.user > 1", "params.é = 'x'", "tags.x = 'é'", "params.p@k = 'x'", "metrics.a$b > 1", "metrics.#a > 1",
        "metrics.a:b > 1", "metrics.`a:b` > 1", "metrics.acc > 1;", "1 = 1", "'a' = 'a'", "metrics.acc", "> 1", "metrics.acc >", "= 'x'",
    ]
    systematic = [
        f"{key} {op} {value}"
        for key, ops, values in [
            ("metrics.m", COMPARISONS, ["1", "'x'"]), ("params.p", COMPARISONS, ["'x'", "1"]), ("tags.t", COMPARISONS, ["'x'", "('a', 'b')"]),
            ("start_time", COMPARISONS, ["1", "'1'"]), ("run_id", COMPARISONS, ["'x'", "('a', 'b')"]), ("status", COMPARISONS, ["'x'"]),
            ("dataset.name", COMPARISONS, ["'x'", "('a', 'b')"]), ("metrics.m", ["="], VALUES), ("params.p", ["="], VALUES),
            ("tags.t", ["LIKE"], VALUES), ("end_time", [">"], VALUES), ("run_id", ["IN"], VALUES), ("dataset.digest", ["="], VALUES),
        ]
        for op, value in itertools.product(ops, values)
    ]
    return clauses + shaped("metrics.a > 1", "params.b = 'c AND d'") + systematic


def experiments():
    systematic = [
        f"{key} {op} {value}"
        for key, value in [("name", "'x'"), ("creation_time", "1"), ("last_update_time", "1"), ("tags.t", "'x'"), ("experiment_id", "'1'")]
        for op in COMPARISONS
    ]
    return systematic + shaped("name = 'a'", "tags.b = 'c'") + [
        "attribute.name = 'x'", "attributes.name LIKE 'x%'", "attr.name = 'x'", "experiment.name = 'x'", "`name` = 'x'", "Name = 'x'", "name = 1",
        "name = x", "name IN ('x')", "creation_time > '1'", "creation_time > 1.5", "last_update_time <= 5", "tags.`a b` = 'x'", "tag.x = 'y'",
        "tags.x IS NULL", "tags.x IS NOT NULL", "name IS NULL", "params.x = 'y'", "metrics.x > 1", "experiment_id IN ('1', '2')",
        "experiment_id IN (1)", "experiment_id = 1", "experiment_id NOT IN ('1')", "lifecycle_stage = 'active'", "artifact_location = 'x'", "foo = 'x'",
    ]


def registered_models():
    systematic = [f"{key} {op} 'x'" for key in ("name", "tags.t") for op in COMPARISONS]
    return systematic + shaped("name = 'a'", "tags.b = 'c'") + [
        "name = 1", "name = x", "name LIKE '%x'", "`name` = 'x'", "attribute.name = 'x'", "attributes.name = 'x'", "tag.x = 'y'", "tags.`a b` = 'x'",
        "tags.x IS NULL", "tags.x IS NOT NULL", "version = '1'", "aliases.x = '1'", "params.x = 'y'", "name IN ('a', 'b')", "tags.x IN ('a')",
        "creation_timestamp > 1", "last_updated_timestamp > 1", "description = 'x'", "foo = 'x'", "name IS NULL", "tags.`mlflow.prompt.is_prompt` = 'true'",
        "`tags`.x = 'y'", "name=\"x\"", "NAME = 'x'",
    ]


def model_versions():
    systematic = [
        f"{key} {op} {value}"
        for key, value in [("name", "'x'"), ("run_id", "'x'"), ("source_path", "'x'"), ("version_number", "1"), ("tags.t", "'x'"), ("run_id", "('a', 'b')")]
        for op in COMPARISONS
    ]
    return systematic + shaped("name = 'a'", "tags.b = 'c'") + [
        "name = 1", "name = x", "attribute.name = 'x'", "attributes.run_id = 'x'", "version_number = '1'", "version_number = 1.5", "version = 1",
        "version = '1'", "tags.`a b` = 'x'", "tag.x = 'y'", "run_id IN ()", "run_id IN ('a',)", "run_id IN (a)", "run_id IN (1)", "run_id IN ('')",
        "name IN ('a')", "source_path IN ('a')", "stage = 'x'", "current_stage = 'x'", "status = 'READY'", "user_id = 'x'", "creation_timestamp > 1",
        "last_updated_timestamp > 1", "params.x = 'y'", "metrics.x > 1", "tags.x IS NULL", "tags.x IS NOT NULL", "foo = 'x'", "run_id IS NULL",
    ]


def logged_models():
    systematic = [
        f"{key} {op} {value}"
        for key, value in [("name", "'x'"), ("attributes.name", "'x'"), ("metrics.m", "1"), ("params.p", "'x'"), ("tags.t", "'x'"), ("creation_time", "1")]
        for op in COMPARISONS
    ]
    return systematic + shaped("name = 'a'", "params.b = 'c'") + [
        "model_id = 'x'", "attributes.model_id = 'x'", "model_type = 'x'", "status = 'READY'", "source_run_id = 'x'", "experiment_id = '1'",
        "creation_timestamp > 1", "last_updated_timestamp > 1", "last_updated_timestamp_ms > 1", "creation_timestamp_ms > 1", "attribute.name = 'x'",
        "attr.name = 'x'", "param.x = 'y'", "metric.x > 1", "tag.x = 'y'", "parameters.x = 'y'", "metrics.`a b` > 1", "metrics.\"a b\" > 1",
        "metrics.x > '1'", "metrics.x > y", "params.x = 1", "params.x = y", "name IN ('a', 'b')", "name IN ('a')", "name NOT IN ('a')", "params.x IN ('a')",
        "tags.x IN ('a', 'b')", "name IN ()", "name IN (1)", "name IN (a)", "metrics.x IN (1)", "foo = 'x'", "attributes.foo = 'x'", "foo.bar = 'x'",
        "name = \"x\"", "tags.`a.b` = 'x'", "tags.a.b = 'x'", "status = 1", "creation_timestamp > '1'", "creation_timestamp > 1.5", "artifact_location = 'x'",
    ]


def traces():
    keys = [
        "status", "name", "request_id", "trace_id", "client_request_id", "run_id", "timestamp", "timestamp_ms", "execution_time", "execution_time_ms",
        "end_time", "end_time_ms", "tags.t", "tag.t", "metadata.m", "request_metadata.m", "span.name", "span.type", "span.status", "span.content",
        "span.attributes.a", "span.attributes.a.b", "feedback.f", "expectation.e", "issue.id", "prompt", "text", "trace.status", "attributes.status",
        "attribute.name", "trace.text", "assessment.x", "experiment_id", "spans.name", "foo", "span.foo", "tags.`a b`", "feedback.`a b`",
    ]
    systematic = [f"{key} {op} {value}" for key in keys for op, value in [
        ("=", "'x'"), ("!=", "'x'"), ("LIKE", "'%x%'"), ("ILIKE", "'%x%'"), ("RLIKE", "'^x.*'"), (">", "1"), ("<=", "1.5"), ("=", "1"),
        ("IN", "('a', 'b')"), ("NOT IN", "('a')"), ("IS", "NULL"), ("IS", "NOT NULL"), (">", "'x'"), ("like", "'x'"), ("rlike", "'x'"),
    ]]
    return systematic + shaped("status = 'OK'", "tags.b = 'c'") + [
        "status = ok", "status = 'NOPE'", "timestamp > '5'", "timestamp = 1.5", "timestamp > now", "prompt = 'a/1'", "prompt = 'a/b/1'", "prompt != 'a/1'",
        "prompt IN ('a/1')", "prompt = 'a/x'", "feedback.f = true", "feedback.f = 'true'", "feedback.f = 'yes'", "feedback.f >= '0.5'",
        "expectation.e = 5", "expectation.e != 'x'", "feedback.f < 'abc'", "span.attributes.a = 5", "span.attributes.`a b` = 'x'", "tags.mlflow.traceName = 'x'",
        "tags.`mlflow.traceName` LIKE 'x'", "metadata.`mlflow.trace.session` = 's'", "metadata.mlflow.sourceRun = 'x'", "name RLIKE '('", "name RLIKE 'a{2}'",
        "request_id IN ('tr-1', 'tr-2')", "request_id IN ()", "request_id IN (1)", "run_id IN ('a')", "text LIKE 'x'", "text = 'x'", "text ILIKE '%x%'",
        "span.name = 'a' AND span.type = 'LLM' AND span.status = 'OK'", "issue.id = 'iss-1'", "issue.name = 'x'", "model_id = 'x'", "session_id = 'x'",
        "status IS NULL", "name IS NOT NULL", "span.name IS NULL", "`status` = 'OK'", "`span`.name = 'x'", "Status = 'OK'", "TAGS.x = 'y'", "tags.x = 5",
        "metadata.x = y", "execution_time > -1", "trace.tags.x = 'y'", "trace.timestamp > 1", "client_request_id LIKE 'a%'",
    ]


def trace_orders():
    keys = [
        "timestamp", "timestamp_ms", "execution_time", "execution_time_ms", "status", "name", "request_id", "trace_id", "run_id", "experiment_id", "end_time",
        "tags.t", "tag.t", "metadata.m", "request_metadata.m", "feedback.f", "expectation.e", "span.name", "attributes.timestamp", "trace.status", "foo", "text",
        "prompt", "client_request_id", "tags.`a b`", "`timestamp`", "Timestamp", "",
    ]
    return [key + direction for key in keys for direction in ["", " ASC", " DESC", " desc", " UP", ","]]


def orders():
    directions = ["", " ASC", " DESC", " asc", " desc", " Desc", " UP", " ASC DESC", " NULLS LAST", ",", ", name", ";"]
    keys = [
        "metrics.a", "metrics.`a b`", 'metrics."a b"', "metrics.a b", "metrics.a/b", "metrics.a-b", "metrics.a.b", "params.a", "tags.a", "tag.a",
        "tags.`mlflow.user`", "metric.a", "parameter.a", "Metrics.a", "attribute.start_time", "attributes.start_time", "attr.start_time",
        "start_time", "`start_time`", "created", "Created", "end_time", "status", "run_name", "`run name`", "`Run Name`", "run name", "attributes.`run name`",
        "run_id", "user_id", "artifact_uri", "experiment_id", "foo", "attribute.foo", "foo.bar", "dataset.name", "name", "attribute.name", "attributes.name",
        "creation_time", "last_update_time", "timestamp", "last_updated_timestamp", "creation_timestamp", "version_number", "version", "TIMESTAMP",
        "metrics.time", "metrics.count", "metrics.max", "metrics.", ".a", "", " ", "1", "'name'", '"name"', "metrics.1a", "params.date", "tags.order", "`tags`.a",
        "source_path", "(name)", "name + 1", "-name", "metrics.é", "NAME",
    ]
    texts = [key + " DESC" for key in keys] + keys
    return texts + [key + direction for key in ("metrics.a", "start_time", "name", "timestamp", "`run name`") for direction in directions]


def shaped(*clauses):
    return [shape.format(*itertools.islice(itertools.cycle(clauses), shape.count("{}"))) for shape in SHAPES]


def outcome(search):
    try:
        search()
        return "accepted"
    except MlflowException as error:
        return "crashed" if error.error_code == "INTERNAL_ERROR" else "rejected"
    except Exception:
        return "crashed"


def main():
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        tracking, registry = Tracking(uri, folder), Registry(uri)
        searches = {
            "runs": (runs(), lambda f, o: tracking.search_runs(["0"], f, 1, 10, o)),
            "experiments": (experiments(), lambda f, o: tracking.search_experiments(filter_string=f, order_by=o, max_results=10)),
            "registered-models": (registered_models(), lambda f, o: registry.search_registered_models(f, 10, o)),
            "model-versions": (model_versions(), lambda f, o: registry.search_model_versions(f, 10, o)),
            "logged-models": (logged_models(), lambda f, o: tracking.search_logged_models(["0"], f, max_results=10)),
            "traces": (traces(), lambda f, o: tracking.search_traces(["0"], f, 10, o)),
        }
        golden = {}
        for noun, (filters, search) in searches.items():
            of = lambda texts, run: {text: outcome(lambda: run(text)) for text in dict.fromkeys(texts)}
            golden[noun] = {"filter": of(filters, lambda text: search(text, None))}
            if noun != "logged-models":
                texts = trace_orders() if noun == "traces" else orders()
                golden[noun]["order_by"] = of(texts, lambda text: search(None, [text]))
        path = Path(__file__).with_suffix(".json")
        path.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
        for noun, parts in golden.items():
            for part, texts in parts.items():
                counted = {kind: list(texts.values()).count(kind) for kind in ("accepted", "rejected", "crashed")}
                print(noun, part, len(texts), counted)


if __name__ == "__main__":
    main()
