"""The server itself, as the clients' own probes see it."""

import requests


def test_it_says_that_it_is_healthy(url):
    answer = requests.get(f"{url}/health", timeout=10)
    assert (answer.status_code, answer.text) == (200, "OK")


def test_it_names_a_version_of_mlflow_that_clients_accept(url):
    version = requests.get(f"{url}/version", timeout=10).text
    major, minor = (int(part) for part in version.split(".")[:2])
    assert (major, minor) >= (3, 4), version


def test_it_stops_when_asked_and_keeps_its_data_folder(own_server):
    own_server.stop()
    assert own_server.process.returncode == 0, own_server.log()
    own_server.start()
    assert requests.get(f"{own_server.url}/health", timeout=10).ok
