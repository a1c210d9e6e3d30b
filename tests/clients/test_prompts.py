"""The prompt registry with MLflow's own client: a prompt is a registered model with tags."""

import mlflow
import pytest
from mlflow.exceptions import MlflowException


def test_prompts_are_registered_loaded_and_aliased(url):
    first = mlflow.genai.register_prompt("qa", "Answer {{question}}", commit_message="first", tags={"team": "a"})
    second = mlflow.genai.register_prompt(
        "qa",
        [{"role": "system", "content": "Be {{style}}"}, {"role": "user", "content": "{{question}}"}],
        commit_message="chat",
    )
    assert (first.version, second.version) == (1, 2)

    loaded = mlflow.genai.load_prompt("prompts:/qa/1")
    assert (loaded.template, loaded.commit_message, loaded.tags["team"]) == ("Answer {{question}}", "first", "a")
    assert loaded.format(question="why") == "Answer why"
    assert mlflow.genai.load_prompt("qa", version=2).format(style="short", question="why") == [
        {"role": "system", "content": "Be short"},
        {"role": "user", "content": "why"},
    ]

    mlflow.genai.set_prompt_alias("qa", alias="live", version=1)
    assert mlflow.genai.load_prompt("prompts:/qa@live", cache_ttl_seconds=0).version == 1
    mlflow.genai.set_prompt_alias("qa", alias="live", version=2)
    assert mlflow.genai.load_prompt("prompts:/qa@live", cache_ttl_seconds=0).version == 2
    assert mlflow.genai.load_prompt("prompts:/qa@latest", cache_ttl_seconds=0).version == 2
    mlflow.genai.delete_prompt_alias("qa", alias="live")
    with pytest.raises(MlflowException):
        mlflow.genai.load_prompt("prompts:/qa@live", cache_ttl_seconds=0)
    assert mlflow.genai.load_prompt("prompts:/qa/9", allow_missing=True) is None


def test_prompts_are_searched_and_tagged_apart_from_models(url):
    for name in ["search-one", "search-two"]:
        mlflow.genai.register_prompt(name, "Say {{it}}", tags={"kind": name})
    client = mlflow.MlflowClient()
    client.create_registered_model("search-model")
    names = {prompt.name for prompt in mlflow.genai.search_prompts("name LIKE 'search-%'")}
    assert names == {"search-one", "search-two"}
    models = {model.name for model in client.search_registered_models("name LIKE 'search-%'")}
    assert models == {"search-model"}

    mlflow.genai.set_prompt_tag("search-one", "owner", "ada")
    assert mlflow.genai.get_prompt_tags("search-one")["owner"] == "ada"
    assert [prompt.name for prompt in mlflow.genai.search_prompts("tags.owner = 'ada'")] == ["search-one"]
    mlflow.genai.delete_prompt_tag("search-one", "owner")
    assert "owner" not in mlflow.genai.get_prompt_tags("search-one")
    mlflow.genai.set_prompt_version_tag("search-one", 1, "reviewed", "yes")
    assert client.get_prompt_version("search-one", 1).tags["reviewed"] == "yes"
    versions = client.search_prompt_versions("search-one")
    assert [version.version for version in versions] == [1]
    client.delete_prompt_version("search-one", "1")
    client.delete_prompt("search-one")
    assert [prompt.name for prompt in mlflow.genai.search_prompts("name LIKE 'search-%'")] == ["search-two"]


def test_a_trace_names_the_prompts_it_used(url):
    experiment = mlflow.set_experiment("prompts-traced")
    mlflow.genai.register_prompt("traced", "Say {{it}}")

    @mlflow.trace
    def say():
        return mlflow.genai.load_prompt("prompts:/traced/1").format(it="hi")

    say()
    mlflow.flush_trace_async_logging()
    where = {"locations": [experiment.experiment_id]}
    assert len(mlflow.search_traces(filter_string="prompt = 'traced/1'", **where)) == 1
    assert len(mlflow.search_traces(filter_string="prompt = 'traced/2'", **where)) == 0
