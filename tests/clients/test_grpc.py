"""The Open Inference Protocol over gRPC, through tritonclient's two clients and a bare channel."""

import asyncio
import queue

import grpc
import numpy as np
import pandas as pd
import pytest
import requests
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from test_serving import deploy

N = 50


@pytest.fixture(scope="module")
def regression(url):
    random = np.random.default_rng(1)
    frame = pd.DataFrame(random.normal(size=(N, 4)), columns=["a", "b", "c", "d"])
    model = GradientBoostingRegressor(n_estimators=20).fit(frame, frame["a"] * 2 + frame["b"] ** 2)
    deploy(url, "grpc-regression", model, frame)
    return "grpc-regression", model, frame


@pytest.fixture(scope="module")
def classifier(url):
    random = np.random.default_rng(2)
    frame = pd.DataFrame({"carrier": random.choice(["AA", "DL", "UA"], N), "delay": random.normal(size=N)})
    columns = ColumnTransformer([("carrier", OneHotEncoder(), ["carrier"])], remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression()).fit(frame, np.where(frame["delay"] > 0, "late", "early"))
    deploy(url, "grpc-classifier", model, frame)
    return "grpc-classifier", model, frame


@pytest.fixture
def client(server):
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        yield client


@pytest.fixture
def stub(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def matrix(frame):
    tensor = triton.InferInput("input", list(frame.shape), "FP64")
    tensor.set_data_from_numpy(frame.to_numpy())
    return tensor


def columns(frame):
    carrier = triton.InferInput("carrier", [len(frame), 1], "BYTES")
    carrier.set_data_from_numpy(frame[["carrier"]].to_numpy().astype(object))
    delay = triton.InferInput("delay", [len(frame), 1], "FP64")
    delay.set_data_from_numpy(frame[["delay"]].to_numpy())
    return [carrier, delay]


def test_the_server_and_its_models_are_seen(client, classifier):
    name = classifier[0]
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(name)
    assert client.is_model_ready(name, "1") and not client.is_model_ready(name, "99") and not client.is_model_ready("grpc-ghost")
    assert "model_configuration" in client.get_server_metadata(as_json=True)["extensions"]
    metadata = client.get_model_metadata(name)
    assert [(one.name, one.datatype, list(one.shape)) for one in metadata.inputs] == [
        ("carrier", "BYTES", [-1, 1]),
        ("delay", "FP64", [-1, 1]),
    ]
    assert list(metadata.versions) == ["1"]
    config = client.get_model_config(name).config
    assert config.max_batch_size > 0 and config.backend == "rondo"
    assert [(one.name, one.data_type, list(one.dims)) for one in config.input] == [("carrier", 13, [1]), ("delay", 12, [1])]
    index = {one.name: one.state for one in client.get_model_repository_index().models}
    assert index[name] == "READY"


@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
def test_a_matrix_is_inferred(client, regression, coding):
    name, model, frame = regression
    answer = client.infer(name, [matrix(frame)], request_id="q1", compression_algorithm=coding)
    np.testing.assert_allclose(answer.as_numpy("prediction"), model.predict(frame), rtol=1e-9)
    assert len(set(answer.as_numpy("prediction_id"))) == N
    response = answer.get_response()
    assert (response.id, response.model_name, response.model_version) == ("q1", name, "1")


def test_columns_and_named_outputs_are_inferred(client, classifier):
    name, model, frame = classifier
    outputs = [triton.InferRequestedOutput("label"), triton.InferRequestedOutput("probabilities", class_count=1)]
    answer = client.infer(name, columns(frame), outputs=outputs)
    assert [one.decode() for one in answer.as_numpy("label")] == model.predict(frame).tolist()
    best = [one[0].decode().split(":") for one in answer.as_numpy("probabilities")]
    assert [label for _, _, label in best] == model.predict(frame).tolist()
    assert answer.as_numpy("score") is None


def typed(name, frame, **contents):
    tensor = service_pb2.ModelInferRequest.InferInputTensor
    shape = [len(frame), 1]
    carrier = tensor(name="carrier", datatype="BYTES", shape=shape)
    carrier.contents.bytes_contents.extend(value.encode() for value in frame["carrier"])
    delay = tensor(name="delay", datatype="FP64", shape=shape)
    delay.contents.fp64_contents.extend(frame["delay"])
    return service_pb2.ModelInferRequest(model_name=name, inputs=[carrier, delay], **contents)


def test_typed_contents_are_inferred(stub, classifier, regression):
    name, model, frame = classifier
    answer = triton.InferResult(stub.ModelInfer(typed(name, frame)))
    np.testing.assert_allclose(answer.as_numpy("probabilities"), model.predict_proba(frame), rtol=1e-9)
    name, model, frame = regression
    tensor = service_pb2.ModelInferRequest.InferInputTensor(name="input", datatype="FP32", shape=frame.shape)
    tensor.contents.fp32_contents.extend(frame.to_numpy().astype("float32").ravel())
    answer = triton.InferResult(stub.ModelInfer(service_pb2.ModelInferRequest(model_name=name, inputs=[tensor])))
    want = model.predict(frame.astype("float32").astype("float64"))
    np.testing.assert_allclose(answer.as_numpy("prediction"), want, rtol=1e-9)


def test_a_prediction_is_named_and_found_again(stub, url, classifier):
    name, _, frame = classifier
    request = typed(name, frame.head(1))
    request.parameters["prediction_id"].string_param = "grpc-named"
    assert triton.InferResult(stub.ModelInfer(request)).as_numpy("prediction_id")[0] == b"grpc-named"
    assert requests.get(f"{url}/api/v1/predictions/grpc-named", timeout=30).status_code == 200


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (lambda request: setattr(request, "model_name", "grpc-ghost"), grpc.StatusCode.NOT_FOUND, "grpc-ghost"),
        (lambda request: setattr(request, "model_version", "99"), grpc.StatusCode.NOT_FOUND, "99"),
        (lambda request: setattr(request.inputs[1], "datatype", "INT64"), grpc.StatusCode.INVALID_ARGUMENT, "in another field"),
        (lambda request: setattr(request.inputs[1], "datatype", "FP99"), grpc.StatusCode.INVALID_ARGUMENT, "no datatype `FP99`"),
        (lambda request: setattr(request.inputs[0], "name", "plane"), grpc.StatusCode.INVALID_ARGUMENT, "no input `plane`"),
        (lambda request: request.inputs[1].ClearField("contents"), grpc.StatusCode.INVALID_ARGUMENT, "has no data"),
        (lambda request: request.inputs[0].shape.__setitem__(0, -1), grpc.StatusCode.INVALID_ARGUMENT, "negative"),
        (lambda request: request.inputs[0].shape.__setitem__(0, 2), grpc.StatusCode.INVALID_ARGUMENT, "needs 2 values"),
        (lambda request: request.raw_input_contents.extend([b"", b""]), grpc.StatusCode.INVALID_ARGUMENT, "given twice"),
        (lambda request: request.raw_input_contents.append(b""), grpc.StatusCode.INVALID_ARGUMENT, "2 inputs, but 1 raw"),
        (lambda request: request.outputs.add(name="nothing"), grpc.StatusCode.INVALID_ARGUMENT, "no output `nothing`"),
        (lambda request: request.ClearField("inputs"), grpc.StatusCode.INVALID_ARGUMENT, "no inputs"),
    ],
)
def test_what_is_wrong_is_told_by_status_and_field(stub, classifier, change, code, told):
    request = typed(classifier[0], classifier[2].head(3))
    change(request)
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(request)
    assert refused.value.code() == code, refused.value
    assert told in refused.value.details()


def test_a_stream_is_answered_in_order_and_goes_on_after_a_refusal(client, regression):
    name, model, frame = regression
    answers = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for row in range(5):
        client.async_stream_infer(name, [matrix(frame[row : row + 1])], request_id=str(row))
    client.async_stream_infer("grpc-ghost", [matrix(frame[:1])], request_id="bad")
    client.async_stream_infer(name, [matrix(frame[:1])], request_id="last")
    got = [answers.get(timeout=60) for _ in range(7)]
    client.stop_stream()
    for row, (result, error) in enumerate(got[:5]):
        assert error is None and result.get_response().id == str(row)
        np.testing.assert_allclose(result.as_numpy("prediction"), model.predict(frame[row : row + 1]), rtol=1e-9)
    assert isinstance(got[5][1], InferenceServerException) and "grpc-ghost" in str(got[5][1])
    assert got[6][1] is None and got[6][0].get_response().id == "last"


def test_the_asynchronous_client_infers_side_by_side(server, regression):
    name, model, frame = regression

    async def all_rows():
        async with triton_aio.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
            assert await client.is_model_ready(name)
            return await asyncio.gather(*(client.infer(name, [matrix(frame[row : row + 1])]) for row in range(N)))

    answers = asyncio.run(all_rows())
    np.testing.assert_allclose([one.as_numpy("prediction")[0] for one in answers], model.predict(frame), rtol=1e-9)


def test_statistics_grow(client, regression):
    name, _, frame = regression
    count = lambda: client.get_inference_statistics(name).model_stats[0]  # noqa: E731
    client.infer(name, [matrix(frame)])
    before = count()
    client.infer(name, [matrix(frame)])
    after = count()
    assert after.inference_count - before.inference_count == N and after.execution_count - before.execution_count == 1
    assert after.inference_stats.success.ns > before.inference_stats.success.ns
    assert name in {one.name for one in client.get_inference_statistics().model_stats}


def test_loading_is_refused_with_the_way_to_do_it(client, regression):
    for ask in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException, match="moving pointers of the registry") as refused:
            ask(regression[0])
        assert refused.value.status() == "StatusCode.UNIMPLEMENTED"
    with pytest.raises(InferenceServerException) as refused:
        client.get_system_shared_memory_status()
    assert refused.value.status() == "StatusCode.UNIMPLEMENTED"


def test_kubernetes_asks_for_health(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=bytes, response_deserializer=bytes)
        assert check(b"") == b"\x08\x01"
        with pytest.raises(grpc.RpcError) as refused:
            check(b"\x0a\x01x")
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND


def test_bytes_that_are_no_message_are_refused(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer", request_serializer=bytes, response_deserializer=bytes
        )
        for body in (b"\xff", b"\x0a\x05ab", b"\x2a\xff\xff\xff\xff\x0f"):
            with pytest.raises(grpc.RpcError) as refused:
                infer(body)
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT, refused.value
        with pytest.raises(grpc.RpcError) as refused:
            infer(bytes(80 << 20))
        assert refused.value.code() in (grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.RESOURCE_EXHAUSTED), refused.value


def test_who_calls_is_asked_here_too(own_server):
    server = own_server
    made = requests.post(f"{server.url}/api/v1/tokens", json={"name": "grpc", "role": "editor"}, timeout=30)
    token = made.json()["secret"]
    server.stop()
    server.options += ["--auth", "on"]
    server.start()
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        assert client.is_server_live()
        with pytest.raises(InferenceServerException) as refused:
            client.get_server_metadata()
        assert refused.value.status() == "StatusCode.UNAUTHENTICATED", refused.value
        assert "token" in refused.value.message()
        assert client.get_server_metadata(headers={"authorization": f"Bearer {token}"}).name == "rondo"
        with pytest.raises(InferenceServerException) as refused:
            client.is_model_ready("x", headers={"authorization": "Bearer rondo_guess"})
        assert refused.value.status() == "StatusCode.UNAUTHENTICATED"
