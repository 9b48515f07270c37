"""Where the keys of gateways come from, in which order, and that none of them is ever shown."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from campaign.config.delivery import DeliverySection
from campaign.delivery.credentials.aws_keys import find_aws_keys, keys_of
from campaign.delivery.credentials.token_refresh import Token, TokenCache
from campaign.delivery.relays.relay import open_relays
from campaign.errors import ConfigError, LoginError

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "env-secret", "AWS_SESSION_TOKEN": "env-token"}
NOWHERE = {"HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"}
ROLE = "/latest/meta-data/iam/security-credentials/"


def shared_file(folder: Path, text: str) -> dict[str, str]:
    path = folder / "credentials"
    path.write_text(text)
    path.chmod(0o600)
    return {**NOWHERE, "AWS_SHARED_CREDENTIALS_FILE": str(path)}


def temporary(key: str, seconds: float) -> bytes:
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    return json.dumps(
        {"AccessKeyId": key, "SecretAccessKey": "s", "Token": "t", "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}
    ).encode()


@pytest.fixture
def metadata() -> Iterator[tuple[str, dict[tuple[str, str], bytes], list[tuple[str, str, dict[str, str]]]]]:
    """A metadata service: its address, its answers, and what it was asked."""
    answers: dict[tuple[str, str], bytes] = {}
    asked: list[tuple[str, str, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            asked.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
            body = answers.get((self.command, self.path))
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        do_GET = do_PUT = respond  # noqa: N815 - as http.server calls them

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answers, asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_environment_comes_first(tmp_path: Path) -> None:
    file = shared_file(tmp_path, "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = x\n")
    found = keys_of(find_aws_keys({**file, **ENVIRONMENT}).text)
    assert (found.key_id, found.secret, found.session_token) == ("AKIAENV", "env-secret", "env-token")


def test_then_the_profile_in_the_shared_file(tmp_path: Path) -> None:
    file = shared_file(
        tmp_path,
        "[default]\naws_access_key_id = AKIAONE\naws_secret_access_key = a%b\n"
        "[news]\naws_access_key_id=AKIATWO\naws_secret_access_key=c\naws_session_token = d\n",
    )
    assert keys_of(find_aws_keys(file).text).secret == "a%b"
    found = keys_of(find_aws_keys({**file, "AWS_PROFILE": "news"}).text)
    assert (found.key_id, found.session_token) == ("AKIATWO", "d")


def test_a_profile_without_keys_is_named_with_a_way_out(tmp_path: Path) -> None:
    file = shared_file(tmp_path, "[news]\nsso_session = x\n")
    with pytest.raises(ConfigError, match="profile news has no access key") as caught:
        find_aws_keys({**file, "AWS_PROFILE": "news"})
    assert "export-credentials --profile news" in caught.value.next_step


def test_a_shared_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = shared_file(tmp_path, "[default]\n")
    (tmp_path / "credentials").chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others"):
        find_aws_keys(file)


def test_then_the_container_with_its_token(metadata) -> None:
    url, answers, asked = metadata
    answers["GET", "/creds?id=1"] = temporary("ASIACONTAINER", 3600)
    environment = {
        **NOWHERE,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/creds?id=1",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "Basic abc",
    }
    found = find_aws_keys(environment)
    assert keys_of(found.text).key_id == "ASIACONTAINER"
    assert 3500 < found.lasts <= 3600
    assert asked[0][2]["authorization"] == "Basic abc"


def test_keys_come_from_no_stranger() -> None:
    with pytest.raises(ConfigError, match="must not come from"):
        find_aws_keys({**NOWHERE, "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://keys.example.com/"})


def test_then_the_role_of_this_machine_asked_for_with_a_session(metadata) -> None:
    url, answers, asked = metadata
    answers["PUT", "/latest/api/token"] = b"session-1"
    answers["GET", ROLE] = b"news-role\n"
    answers["GET", ROLE + "news-role"] = temporary("ASIAROLE", 600)
    found = find_aws_keys({"HOME": "/nonexistent", "AWS_EC2_METADATA_SERVICE_ENDPOINT": url})
    assert keys_of(found.text).key_id == "ASIAROLE"
    assert [one[0] for one in asked] == ["PUT", "GET", "GET"]
    assert all(one[2]["x-aws-ec2-metadata-token"] == "session-1" for one in asked[1:])


def test_without_any_keys_the_places_are_named(metadata) -> None:
    url, _, _ = metadata
    with pytest.raises(LoginError, match="There are no keys for Amazon") as caught:
        find_aws_keys({"HOME": "/nonexistent", "AWS_EC2_METADATA_SERVICE_ENDPOINT": url})
    assert "~/.aws/credentials" in caught.value.evidence[0]


async def test_temporary_keys_are_replaced_before_they_end() -> None:
    clock, fetched = [0.0], []

    async def fetch() -> Token:
        fetched.append(clock[0])
        return Token(f"key {len(fetched)}", 3600.0)

    cache = TokenCache(fetch, lambda: clock[0])
    assert await cache() == "key 1"
    clock[0] = 3299.0
    assert await cache() == "key 1"
    clock[0] = 3301.0
    assert await cache() == "key 2"


async def test_half_a_key_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Half of an access key"):
        await open_relays(DeliverySection(relay=("ses-api:eu-west-1",)), tmp_path, {"AWS_ACCESS_KEY_ID": "AKIA"})


async def test_a_user_is_an_access_key_whose_secret_is_the_password(tmp_path: Path) -> None:
    chosen = DeliverySection(relay=("AKIAIOSFODNN7EXAMPLE@ses-api:eu-west-1",))
    (relay,) = await open_relays(chosen, tmp_path, {"CAMPAIGN_RELAY_PASSWORD": "top/secret"})
    assert relay.login is not None
    keys = keys_of(await relay.login.fetch())
    assert (keys.key_id, keys.secret) == ("AKIAIOSFODNN7EXAMPLE", "top/secret")
    assert relay.name == "AKIAIOSFODNN7EXAMPLE@ses-api:eu-west-1"
    assert "top/secret" not in repr(relay) + repr(keys)


@pytest.mark.parametrize("written", ["mailgun-api:example.com", "sparkpost-api:eu"])
async def test_an_api_key_comes_from_where_passwords_do(written: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"There is no API key for {written}"):
        await open_relays(DeliverySection(relay=(written,)), tmp_path, {})
    (relay,) = await open_relays(DeliverySection(relay=(written,)), tmp_path, {"CAMPAIGN_RELAY_PASSWORD": "key-1"})
    assert relay.login is not None
    assert await relay.login.fetch() == "key-1"
    assert relay.name == written


async def test_a_mailbox_needs_its_name_and_a_token(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs to know who logs in"):
        await open_relays(DeliverySection(relay=("graph-api",)), tmp_path, {})
    with pytest.raises(ConfigError, match=r"There is no access token for you@example\.com at gmail-api"):
        await open_relays(DeliverySection(relay=("gmail-api",), user="you@example.com"), tmp_path, {})


async def test_the_user_of_an_smtp_relay_is_no_access_key(tmp_path: Path) -> None:
    chosen = DeliverySection(relay=("gmail", "ses-api:eu-west-1"), user="you@example.com")
    _, gateway = await open_relays(chosen, tmp_path, {"CAMPAIGN_RELAY_PASSWORD": "p", **ENVIRONMENT})
    assert gateway.login is not None
    assert keys_of(await gateway.login.fetch()).key_id == "AKIAENV"
