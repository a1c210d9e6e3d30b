"""Traces and assessments with MLflow's own client: what `@mlflow.trace` sends comes back whole, searchable and judged."""

import gzip
import time

import mlflow
import pytest
import requests
from mlflow.entities import AssessmentSource, Expectation
from mlflow.exceptions import MlflowException
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ADA = AssessmentSource(source_type="HUMAN", source_id="ada")


@mlflow.trace
def embed(text):
    return [len(text), 0.5]


@mlflow.trace(span_type="CHAIN", attributes={"k": "v"})
def answer(question):
    mlflow.update_current_trace(tags={"env": "dev"}, client_request_id="req-1", metadata={"who": "ada"})
    return {"answer": embed(question)}


@mlflow.trace
def broken():
    raise ValueError("boom")


def exported():
    """The last trace, once all of it has arrived: its spans come after what is flushed. The server waits for them a while."""
    mlflow.flush_trace_async_logging()
    trace_id = mlflow.get_last_active_trace_id()
    for _ in range(20):
        whole = f"{mlflow.get_tracking_uri()}/api/3.0/mlflow/traces/get"
        if requests.get(whole, params={"trace_id": trace_id}, timeout=60).ok:
            return trace_id
    raise AssertionError(f"the spans of {trace_id} did not arrive")


def ask(question):
    """One trace, exported."""
    answer(question)
    return exported()


def found(experiment, text=None, **more):
    return len(mlflow.search_traces(locations=[experiment.experiment_id], filter_string=text, **more))


def test_a_trace_comes_back_as_it_was(server):
    mlflow.set_experiment("traces-back")
    trace = mlflow.get_trace(ask("how far"))
    assert (trace.info.state, trace.info.client_request_id) == ("OK", "req-1")
    assert trace.info.tags["env"] == "dev" and trace.info.tags["mlflow.traceName"] == "answer"
    assert trace.info.trace_metadata["who"] == "ada"
    root, child = trace.data.spans
    assert (root.name, root.span_type, root.inputs, root.outputs) == (
        "answer",
        "CHAIN",
        {"question": "how far"},
        {"answer": [7, 0.5]},
    )
    assert root.get_attribute("k") == "v"
    assert (child.name, child.parent_id, child.inputs) == ("embed", root.span_id, {"text": "how far"})
    assert root.start_time_ns <= child.start_time_ns < child.end_time_ns <= root.end_time_ns


def test_errors_and_their_events_are_kept(server):
    experiment = mlflow.set_experiment("traces-broken")
    with pytest.raises(ValueError, match="boom"):
        broken()
    trace = mlflow.get_trace(exported())
    assert trace.info.state == "ERROR"
    assert trace.data.spans[0].events[0].attributes["exception.message"] == "boom"
    assert trace.data.spans[0].status.status_code == "ERROR"
    assert found(experiment, "status = 'ERROR'") == 1


def test_traces_are_searched(server):
    experiment = mlflow.set_experiment("traces-search")
    ids = [ask(f"question {number}") for number in range(3)]
    with mlflow.start_run() as run:
        inside = ask("in a run")
    mlflow.set_trace_tag(ids[0], "first", "yes")
    for text, expect in [
        (None, 4),
        ("status = 'OK'", 4),
        ("status != 'OK'", 0),
        ("tags.first = 'yes'", 1),
        ("tag.first IS NULL", 3),
        ("name = 'answer' AND metadata.who = 'ada'", 4),
        ("trace.client_request_id LIKE 'req%'", 4),
        ("timestamp_ms > 0 AND execution_time < 600000", 4),
        (f"request_id IN ('{ids[0]}', '{ids[1]}')", 2),
        (f"run_id = '{run.info.run_id}'", 1),
        ("span.name = 'embed'", 4),
        ("span.name = 'answer' AND span.type = 'CHAIN'", 4),
        ("span.name = 'embed' AND span.type = 'CHAIN'", 0),
        ("span.attributes.k = 'v'", 4),
        ("span.content LIKE '%question 2%'", 1),
        ("trace.text ILIKE '%QUESTION 2%'", 1),
    ]:
        assert found(experiment, text) == expect, text
    assert found(experiment, run_id=run.info.run_id) == 1
    newest = mlflow.search_traces(locations=[experiment.experiment_id], max_results=1)
    assert list(newest["trace_id"]) == [inside]
    oldest = mlflow.search_traces(
        locations=[experiment.experiment_id], order_by=["timestamp_ms ASC"], max_results=2, return_type="list"
    )
    assert [trace.info.trace_id for trace in oldest] == ids[:2]
    with pytest.raises(MlflowException, match="Invalid attribute key 'nope'"):
        found(experiment, "nope = 'x'")


def test_people_and_code_judge_a_trace(server):
    experiment = mlflow.set_experiment("traces-judged")
    trace_id = ask("right or wrong")
    good = mlflow.log_feedback(
        trace_id=trace_id, name="correct", value=True, rationale="it is", source=ADA, metadata={"round": "1"}
    )
    mlflow.log_feedback(trace_id=trace_id, name="score", value=0.75)
    wanted = mlflow.log_expectation(trace_id=trace_id, name="answer", value={"x": [1, 2]}, source=ADA)

    info = mlflow.get_trace(trace_id).info
    assert [(one.name, one.value) for one in info.assessments] == [
        ("correct", True),
        ("score", 0.75),
        ("answer", {"x": [1, 2]}),
    ]
    assert (info.assessments[0].source, info.assessments[0].metadata["round"]) == (ADA, "1")
    assert found(experiment, "feedback.correct = 'true'") == found(experiment, "feedback.score > 0.5") == 1
    assert found(experiment, "feedback.score > 0.8") == found(experiment, "feedback.correct IS NULL") == 0

    bad = mlflow.override_feedback(trace_id=trace_id, assessment_id=good.assessment_id, value=False, rationale="no")
    assert mlflow.get_assessment(trace_id, good.assessment_id).valid is False
    assert found(experiment, "feedback.correct = 'true'") == 0
    mlflow.update_assessment(trace_id, wanted.assessment_id, Expectation(name="answer", value="short"))
    assert mlflow.get_assessment(trace_id, wanted.assessment_id).value == "short"
    mlflow.delete_assessment(trace_id, bad.assessment_id)
    assert mlflow.get_assessment(trace_id, good.assessment_id).valid is True
    with pytest.raises(MlflowException, match="not found"):
        mlflow.get_assessment(trace_id, bad.assessment_id)


def files(server, folder):
    """What lies in a folder of artifacts."""
    listing = requests.get(f"{server.url}/api/2.0/mlflow-artifacts/artifacts", params={"path": folder}, timeout=60).json()
    return [file["path"] for file in listing.get("files", [])]


def test_tags_change_and_traces_are_deleted(server):
    experiment = mlflow.set_experiment("traces-deleted")
    ids = [ask(f"question {number}") for number in range(3)]
    mlflow.set_trace_tag(ids[0], "kept", "1")
    mlflow.delete_trace_tag(ids[0], "env")
    tags = mlflow.get_trace(ids[0]).info.tags
    assert tags["kept"] == "1" and "env" not in tags
    client = mlflow.MlflowClient()
    # the client itself stores the spans as a file only if the server did not have them by then
    folder = f"{experiment.experiment_id}/traces/{ids[0]}/artifacts"
    stored = requests.put(f"{server.url}/api/2.0/mlflow-artifacts/artifacts/{folder}/traces.json", data=b"{}", timeout=60)
    assert stored.ok and files(server, folder) == ["traces.json"]
    assert client.delete_traces(experiment.experiment_id, trace_ids=[ids[0]]) == 1
    assert files(server, folder) == []
    now_ms = int(time.time() * 1000) + 60_000
    assert client.delete_traces(experiment.experiment_id, max_timestamp_millis=now_ms, max_traces=1) == 1
    left = mlflow.search_traces(locations=[experiment.experiment_id], return_type="list")
    assert [trace.info.trace_id for trace in left] == [ids[2]]


def export(experiment, run_id=None, name="plain", trace=b"\x01" * 16):
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = trace, b"\x02" * 8, name
    span.start_time_unix_nano, span.end_time_unix_nano = 1_700_000_000_000_000_000, 1_700_000_001_500_000_000
    attribute = span.attributes.add()
    attribute.key = "mlflow.spanInputs"
    attribute.value.string_value = "hello"
    headers = {"x-mlflow-experiment-id": experiment.experiment_id}
    if run_id:
        headers["x-mlflow-run-id"] = run_id
    return request, headers


def test_spans_of_any_exporter_make_a_trace(url):
    experiment = mlflow.set_experiment("traces-otlp")
    with mlflow.start_run() as run:
        pass
    request, headers = export(experiment, run.info.run_id)
    headers |= {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
    response = requests.post(f"{url}/v1/traces", data=gzip.compress(request.SerializeToString()), headers=headers)
    assert (response.status_code, response.content) == (200, b"")
    trace = mlflow.get_trace("tr-" + "01" * 16)
    assert (trace.info.state, trace.info.request_time, trace.info.execution_duration) == ("OK", 1_700_000_000_000, 1_500)
    assert (trace.info.request_preview, trace.data.spans[0].inputs) == ("hello", "hello")
    assert found(experiment, run_id=run.info.run_id) == 1
    del headers["x-mlflow-experiment-id"]
    refused = requests.post(f"{url}/v1/traces", data=request.SerializeToString(), headers=headers)
    assert refused.status_code == 422
