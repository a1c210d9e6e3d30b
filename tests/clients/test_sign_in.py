"""People sign in and out with a real browser: by password, by token, and at a real OpenID Connect provider."""

import os
import pathlib
import re

import pytest
import requests
from oidc_provider_mock import User, run_server_in_thread

import browser as chromium
from conftest import Server

PASSWORD = "correct horse battery"
PICTURES = os.environ.get("RONDO_PICTURES")

pytestmark = pytest.mark.skipif(chromium.program() is None, reason="there is no Chromium on this machine")


@pytest.fixture(scope="module")
def provider():
    users = [
        User(sub="ada@example", claims={"preferred_username": "ada", "profile": "researchers"}),
        User(sub="eve@example", claims={"preferred_username": "eve", "profile": "strangers"}),
    ]
    with run_server_in_thread(user_claims=users) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture(scope="module")
def asking(tmp_path_factory, provider):
    folder = tmp_path_factory.mktemp("asking")
    (folder / "secret").write_text("whatever\n")
    (folder / "rondo.toml").write_text(
        f"""
auth = "on"

[oidc]
issuer = "{provider}"
secret_file = "secret"
role_claim = "profile"
roles = "researchers=editor, researchers=viewer@team-a"
"""
    )
    started = Server(folder)
    started.start()
    admin = re.search(r"^rondo_\S+$", started.log(), re.MULTILINE).group()
    started.admin = {"Authorization": f"Bearer {admin}"}
    started.token = admin
    call = lambda path, body: requests.post(f"{started.url}{path}", json=body, headers=started.admin, timeout=60)
    assert call("/api/v1/workspaces", {"name": "team-a"}).ok
    assert call("/api/v1/users", {"name": "grace", "role": "viewer", "password": PASSWORD}).ok
    made = requests.post(
        f"{started.url}/api/2.0/mlflow/registered-models/create", json={"name": "only-in-team-a"},
        headers={**started.admin, "X-MLFLOW-WORKSPACE": "team-a"}, timeout=60,
    )
    assert made.ok, made.text
    yield started
    started.close()


@pytest.fixture
def page(tmp_path):
    opened = chromium.Browser(tmp_path)
    yield opened
    opened.close()


def shot(page, name):
    if PICTURES:
        page.picture(pathlib.Path(PICTURES) / f"{name}.png")


def me(page):
    return page.wait("document.getElementById('me')?.textContent")


def test_a_password_opens_and_signing_out_closes(asking, page):
    page.open(f"{asking.url}/#/models")
    page.wait("document.querySelector('#by-password')")
    shot(page, "sign-in")
    page.type("#user", "grace")
    page.type("#password", "not the password")
    page.click("#by-password button")
    assert page.wait("document.getElementById('told').textContent") == "the user or password is not known here"
    shot(page, "sign-in-refused")
    page.run("document.getElementById('password').value = ''")
    page.type("#password", PASSWORD)
    page.click("#by-password button")
    assert me(page) == "grace viewer"
    page.wait("document.querySelector('h1')?.textContent === 'Models'")
    shot(page, "signed-in")
    cookie = page.cookies()["rondo_session"]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict", cookie
    assert page.run("document.cookie") == "" and page.run("JSON.stringify(sessionStorage)") == "{}"
    # It survives a reload.
    page.open(f"{asking.url}/#/runs")
    page.run("location.reload()")
    assert me(page) == "grace viewer"
    page.click("#sign-out")
    page.wait("document.querySelector('#by-password')")
    assert "rondo_session" not in page.cookies()
    # And the session itself is over, whoever kept the cookie.
    kept = requests.get(f"{asking.url}/api/v1/me", cookies={"rondo_session": cookie["value"]}, timeout=60)
    assert kept.status_code == 401, kept.text


def test_a_token_opens_and_the_workspace_can_be_changed(asking, page):
    page.open(asking.url)
    page.click(".sign-in summary")
    page.type("#token", asking.token)
    page.click("#by-token button")
    assert me(page) == "admin admin"
    assert page.run("[...document.querySelectorAll('#workspace option')].map((one) => one.value)") == ["default", "team-a"]
    page.run("location.hash = '#/models'")
    page.wait("document.querySelector('h1')?.textContent === 'Models'")
    assert "only-in-team-a" not in page.run("document.body.innerText")
    page.run("(() => { const box = document.getElementById('workspace'); box.value = 'team-a'; box.dispatchEvent(new Event('change')); })()")
    page.wait("document.body.innerText.includes('only-in-team-a')")
    shot(page, "workspace")
    page.click("#sign-out")
    page.wait("document.querySelector('#by-password')")


def test_the_provider_vouches_and_another_page_cannot_use_the_session(asking, provider, page):
    page.open(f"{asking.url}/#/pipelines")
    page.click("#oidc")
    page.wait(f"location.href.startsWith('{provider}/')")
    page.type("input[name=sub]", "ada@example")
    shot(page, "provider")
    page.click("form button")
    assert me(page) == "ada editor"
    assert page.run("location.href") == f"{asking.url}/#/pipelines"
    assert page.run("[...document.querySelectorAll('#workspace option')].map((one) => one.value)") == ["default", "team-a"]
    shot(page, "vouched")
    # A page of another origin: the browser sends no cookie along, and the server would not take the request.
    page.open(f"{provider}/.well-known/openid-configuration")
    page.wait("document.readyState === 'complete'")
    script = f"""fetch('{asking.url}/api/2.0/mlflow/experiments/create',
        {{method: 'POST', credentials: 'include', mode: 'no-cors', body: '{{"name": "planted"}}'}}).then(() => 'sent', () => 'refused')"""
    page.run(script)
    found = requests.get(
        f"{asking.url}/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": "planted"}, headers=asking.admin, timeout=60
    )
    assert found.status_code == 404, found.text


def test_whom_no_rule_names_is_not_let_in(asking, provider, page):
    page.open(asking.url)
    page.click("#oidc")
    page.wait(f"location.href.startsWith('{provider}/')")
    page.type("input[name=sub]", "eve@example")
    page.click("form button")
    assert "`eve` has no role here" in page.wait("location.pathname === '/auth/oidc/callback' && document.body.innerText")
    assert "rondo_session" not in page.cookies()
