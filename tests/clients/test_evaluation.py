"""Evaluation datasets and scorers: MLflow's client says the same of this server as of MLflow's own."""

import json
import re
import time

import mlflow
import pandas
import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.genai import datasets
from mlflow.genai.scorers import RelevanceToQuery, Safety, delete_scorer, get_scorer, list_scorers
from mlflow.genai.scorers.registry import list_scorer_versions

from importing import Mlflow


@pytest.fixture(scope="module")
def both(server, tmp_path_factory):
    """The addresses of MLflow's own server and of ours."""
    started = Mlflow(tmp_path_factory.mktemp("mlflow") / "server")
    yield started.url, server.url
    started.stop()


def told(both, story):
    """What the story says of both servers; it is the same."""
    answers = []
    for url in both:
        mlflow.set_tracking_uri(url)
        answers.append(story(url))
    assert answers[1] == answers[0]
    return answers[1]


def dataset(found):
    """What is the same on two servers."""
    return {
        "id": bool(re.fullmatch("d-[0-9a-f]{32}", found.dataset_id)), "name": found.name, "tags": found.tags,
        "schema": found.schema and json.loads(found.schema), "profile": found.profile, "digest": len(found.digest), "by": [found.created_by, found.last_updated_by],
        "experiments": len(found.experiment_ids), "later": found.last_update_time > found.created_time,
    }


def records(found):
    def record(one):
        shown = one.to_dict()
        del shown["dataset_id"], shown["created_time"], shown["last_update_time"]
        assert re.fullmatch("dr-[0-9a-f]{32}", shown.pop("dataset_record_id"))
        return shown

    fresh = mlflow.MlflowClient().get_dataset(found.dataset_id)
    return sorted((record(one) for one in fresh.records), key=lambda one: json.dumps(one["inputs"], sort_keys=True))


def failure(call, *arguments, **more):
    try:
        call(*arguments, **more)
    except MlflowException as error:
        return error.error_code, error.message
    return None


RECORDS = [
    {"inputs": {"q": "what?", "n": 1}, "expectations": {"a": "this", "score": 0.5}, "tags": {"by": "hand"}},
    {"inputs": {"q": "why?", "deep": {"list": [1, 2.0, None, True, "ü"]}}, "outputs": {"text": "so"}},
    {"inputs": {"n": 1, "q": "what?"}, "expectations": {"b": 2}, "outputs": "plain text"},
    {"inputs": {"n": 1.0, "q": "what?"}, "source": {"source_type": "document", "source_data": {"source_id": "doc-1"}}},
    {"inputs": {}, "expectations": {"none": None}, "source": {"source_type": "TRACE", "source_data": {"trace_id": "tr-1"}}},
]


def test_records_are_merged_by_their_inputs(both):
    def story(url):
        experiment = mlflow.set_experiment("records").experiment_id
        made = datasets.create_dataset(name="first", experiment_id=experiment, tags={"team": "a", "mlflow.user": "ann"})
        seen = [dataset(made), made.experiment_ids == [experiment]]
        time.sleep(0.005)
        made.merge_records([dict(one) for one in RECORDS])
        found = datasets.get_dataset(dataset_id=made.dataset_id)
        seen += [dataset(found), records(found)]
        time.sleep(0.005)
        found.merge_records([{"inputs": {"q": "why?", "deep": {"list": [1, 2.0, None, True, "ü"]}}, "expectations": {"late": [1]}}])
        found.merge_records(pandas.DataFrame({"inputs": [{"q": "frame"}], "expectations": [{"a": "x"}]}))
        again = datasets.get_dataset(dataset_id=made.dataset_id)
        seen += [dataset(again), records(again), sorted(json.dumps(one, sort_keys=True) for one in again.to_df()["inputs"])]
        stored = mlflow.MlflowClient().get_dataset(made.dataset_id)
        first = next(one for one in stored.records if one.inputs == {"q": "frame"})
        seen.append(stored.delete_records([first.dataset_record_id, "dr-none"]))
        seen.append(len(records(datasets.get_dataset(dataset_id=made.dataset_id))))
        return seen

    seen = told(both, story)
    assert seen[2]["profile"] == '{"num_records": 4}'
    assert len(seen[3]) == 4


def test_datasets_are_searched_tagged_and_deleted(both):
    def story(url):
        client = mlflow.MlflowClient()
        one, two = client.create_experiment("eval one"), client.create_experiment("eval two")
        ids = {}
        for index, name in enumerate(["alpha", "beta", "gamma_1", "Gamma_2"]):
            made = datasets.create_dataset(name=name, experiment_id=[one, two][: index % 2 + 1], tags={"index": str(index)})
            ids[made.dataset_id] = name
            time.sleep(0.003)

        def names(**more):
            try:
                return [found.name for found in datasets.search_datasets(experiment_ids=[one, two], **more)]
            except MlflowException as error:
                return error.error_code

        filters = [
            "name = 'alpha'", "name LIKE 'gamma%'", "name ILIKE 'gamma%'", "name != 'alpha'", "tags.index = '2'",
            "tags.index != '2' AND name LIKE '%a%'", "created_time > 5", "created_time > '5'", "last_update_time <= 5", "name IN ('alpha', 'beta')",
            "name NOT IN ('alpha')", "created_by = 'x'", "created_by IN ('x')", "nothing = 'x'", "attributes.name = 'alpha'",
            "tag.index = '2'", "name > 'a'", "created_time LIKE '5'", "tags.index > '1'", "created_time = 1.5", "name = 5",
            "name = 'a' OR name = 'b'", "digest = 'x'", "last_updated_by != 'x'",
        ]
        orders = [["name ASC"], ["name DESC"], ["created_time"], ["last_update_time DESC"], ["created_by"], ["tags.index"], ["name up"]]
        seen = [names(filter_string=text) for text in filters] + [names(order_by=order) for order in orders]
        seen.append([found.name for found in datasets.search_datasets(experiment_ids=[two], order_by=["name"])])
        page = client.search_datasets(experiment_ids=[one], max_results=3, order_by=["name"])
        rest = client.search_datasets(experiment_ids=[one], max_results=3, order_by=["name"], page_token=page.token)
        seen += [[found.name for found in page], [found.name for found in rest], rest.token]
        first = next(iter(ids))
        datasets.set_dataset_tags(dataset_id=first, tags={"index": "9", "more": True, "float": 1.5, "none": None})
        datasets.delete_dataset_tag(dataset_id=first, key="missing")
        seen.append(datasets.get_dataset(dataset_id=first).tags)
        datasets.delete_dataset_tag(dataset_id=first, key="more")
        seen.append(datasets.get_dataset(dataset_id=first).tags)
        added = datasets.add_dataset_to_experiments(dataset_id=first, experiment_ids=[two])
        seen += [dataset(added), datasets.get_dataset(dataset_id=first).experiment_ids == [one, two]]
        datasets.remove_dataset_from_experiments(dataset_id=first, experiment_ids=[one, two])
        seen.append(datasets.get_dataset(dataset_id=first).experiment_ids)
        datasets.delete_dataset(dataset_id=first)
        datasets.delete_dataset(dataset_id=first)
        seen.append(names())
        hide = lambda found: found and (found[0], found[1].replace(first, "ID"))
        seen += [
            hide(failure(datasets.get_dataset, dataset_id=first)),
            hide(failure(datasets.set_dataset_tags, dataset_id=first, tags={"a": "b"})),
            hide(failure(datasets.add_dataset_to_experiments, dataset_id=first, experiment_ids=[one])),
            failure(datasets.add_dataset_to_experiments, dataset_id=next(iter(list(ids)[1:])), experiment_ids=["987654"])[0],
        ]
        return seen

    told(both, story)


def test_bodies_are_the_same(both):
    def story(url):
        def call(method, path, **more):
            answer = requests.request(method, f"{url}/api/3.0/mlflow/datasets/{path}", timeout=10, **more)
            return answer.status_code, answer.json()

        status, made = call("POST", "create", json={"name": "bodies", "tags": '{"k": "v"}', "experiment_ids": ["0"]})
        dataset_id = made["dataset"]["dataset_id"]
        seen = [status, sorted(made["dataset"]), made["dataset"]["experiment_ids"]]
        text = json.dumps([{"inputs": {"a": index}} for index in range(7)])
        seen.append(call("POST", f"{dataset_id}/records", json={"records": text}))
        seen.append(call("POST", f"{dataset_id}/records", json={"records": text}))
        token, sizes = None, []
        while True:
            status, page = call("GET", f"{dataset_id}/records", params={"max_results": 3, **({"page_token": token} if token else {})})
            found = json.loads(page["records"])
            sizes.append((status, len(found), sorted(found[0])))
            token = page.get("next_page_token")
            if not token:
                break
        seen += sizes
        status, found = call("GET", dataset_id)
        seen += [status, sorted(found["dataset"])]
        seen += [call("GET", f"{dataset_id}/experiment-ids"), call("GET", "d-none/experiment-ids"), call("GET", "d-none/records")]
        seen += [call("DELETE", "d-none"), call("DELETE", f"{dataset_id}/tags/nothing", json={})]
        seen += [call("DELETE", f"{dataset_id}/records", json={"dataset_record_ids": ["dr-1"]}), call("POST", "create", json={})[0]]
        seen += [call("POST", "search", json={"max_results": 50_001})[0], call("POST", "search", json={"max_results": 0})[0]]
        seen += [call("POST", f"{dataset_id}/records", json={})[0], call("PATCH", f"{dataset_id}/tags", json={})[0]]
        bad = json.dumps([{"inputs": {"a": 1}, "source": {"source_type": "rumour"}}])
        seen.append([call("POST", f"{dataset_id}/records", json={"records": bad.replace("1", "99")})[1][key] for key in ["error_code", "message"]])
        return seen

    told(both, story)


def test_what_mlflow_fails_over_is_refused(url):
    made = requests.post(f"{url}/api/3.0/mlflow/datasets/create", json={"name": "bad"}, timeout=10).json()["dataset"]["dataset_id"]
    for text in ["not json", "{}", "[1]", '[{"inputs": 1}]', '[{"inputs": null}]', '[{"inputs": {}, "tags": []}]', '[{"inputs": {}, "source": {"x": 1}}]']:
        answer = requests.post(f"{url}/api/3.0/mlflow/datasets/{made}/records", json={"records": text}, timeout=10)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), text
    missing = requests.post(f"{url}/api/3.0/mlflow/datasets/d-1/records", json={"records": "[]"}, timeout=10)
    assert missing.status_code == 404
    unknown = requests.post(f"{url}/api/3.0/mlflow/datasets/create", json={"name": "bad", "experiment_ids": ["98765"]}, timeout=10)
    assert (unknown.status_code, unknown.json()["message"]) == (404, "No Experiment with id=98765")


def test_traces_become_records(both):
    def story(url):
        experiment = mlflow.set_experiment("from traces").experiment_id

        @mlflow.trace
        def ask(question):
            return f"{question}!"

        ask("how")
        mlflow.flush_trace_async_logging()
        mlflow.log_expectation(trace_id=mlflow.get_last_active_trace_id(), name="answer", value="thus")
        traces = mlflow.search_traces(locations=[experiment], return_type="list")
        made = datasets.create_dataset(name="traced", experiment_id=experiment)
        made.merge_records(traces)
        found = records(made)
        for one in found:
            one["source"]["source_data"].pop("trace_id")
            assert one.pop("source_id").startswith("tr-")
        return found

    assert told(both, story)[0]["expectations"] == {"answer": "thus"}


def test_scorers_come_in_versions(both):
    def story(url):
        experiment = mlflow.set_experiment("scorers").experiment_id
        seen = []
        for scorer in [Safety(name="safe"), RelevanceToQuery(name="relevant"), Safety(name="safe", model="openai:/gpt-5")]:
            seen.append(scorer.register(experiment_id=experiment).name)
        seen.append([(one.name, type(one).__name__) for one in list_scorers(experiment_id=experiment)])
        seen.append([(one.name, one.model, version) for one, version in list_scorer_versions(name="safe", experiment_id=experiment)])
        seen.append(get_scorer(name="safe", experiment_id=experiment).model)
        seen.append(get_scorer(name="safe", experiment_id=experiment, version=1).model)
        delete_scorer(name="safe", experiment_id=experiment, version=2)
        seen.append([version for _, version in list_scorer_versions(name="safe", experiment_id=experiment)])
        seen.append(failure(get_scorer, name="safe", experiment_id=experiment, version=7))
        seen.append(failure(get_scorer, name="none", experiment_id=experiment))
        delete_scorer(name="safe", experiment_id=experiment, version="all")
        seen.append(failure(delete_scorer, name="safe", experiment_id=experiment, version="all"))
        seen.append([one.name for one in list_scorers(experiment_id=experiment)])
        for params in [{}, {"experiment_ids": [experiment]}, {"experiment_id": experiment, "experiment_ids": [experiment]}]:
            answer = requests.get(f"{url}/api/3.0/mlflow/scorers/list", params=params, timeout=10)
            body = answer.json()
            seen.append((answer.status_code, body.get("message"), [sorted(one) for one in body.get("scorers", [])]))
        bodies = [{}, {"experiment_id": "0", "name": " ", "serialized_scorer": "{}"}, {"experiment_id": "9876", "name": "a", "serialized_scorer": "{}"}]
        for body in bodies:
            answer = requests.post(f"{url}/api/3.0/mlflow/scorers/register", json=body, timeout=10)
            seen.append((answer.status_code, answer.json()["error_code"]))
        return json.loads(json.dumps(seen).replace(f"experiment {experiment}", "experiment ID"))

    told(both, story)
