"""A list from an https address: verified, bounded, from the Internet only, and fetched again only if it has changed."""

from __future__ import annotations

import json
import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from campaign.audience.plan.plan_reader import Plan, freeze
from campaign.audience.screening.screen_rows import Suppression
from campaign.audience.sources.kept_lists import https_list, public_https
from campaign.audience.sources.kept_lists.https_list import (
    FOLDER,
    keep_lists_in,
    list_address,
    release_lists,
    shown_source,
)
from campaign.audience.sources.kept_lists.public_https import Network, is_on_internet
from campaign.audience.sources.source_factory import open_source
from campaign.cli.main import cli
from campaign.config import load
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError, InputError, StorageError
from campaign.exit_codes import ExitCode
from campaign.pipeline.command_context import Options
from campaign.pipeline.operate.forget.forget_person import forget
from campaign.pipeline.send import send
from campaign.report.live.console import Console
from tests.support.servers.list_server import ListServer

URL = "https://lists.example.com/people.csv"
PLACE = "lists.example.com/people.csv"
PEOPLE = b"email,name\nada@example.com,Ada\n"
CSV = {"Content-Type": "text/csv", "ETag": '"one"'}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ListServer]:
    release_lists()
    keep_lists_in(tmp_path / "runs")
    with ListServer({PLACE: (200, CSV, PEOPLE)}) as one:
        monkeypatch.setattr(public_https, "NETWORK", one.network())
        yield one
    release_lists()
    https_list._PLACE.clear()


def frozen(folder: Path, source: str = URL, **given: object) -> Plan:
    settings = AudienceSection(source=source, **given)
    return freeze(settings, folder, folder, suppression=Suppression.load(settings, folder))


def message(folder: Path, source: str = URL) -> str:
    with pytest.raises((InputError, ConfigError, StorageError)) as caught:
        open_source(AudienceSection(source=source), folder)
    assert caught.value.next_step
    return str(caught.value)


def test_a_list_is_read_from_its_address(server: ListServer, tmp_path: Path) -> None:
    plan = frozen(tmp_path)
    assert [one.address for one in plan.recipients()] == ["ada@example.com"]
    assert plan.source == "people.csv"
    assert server.asked == [(PLACE, "")], "one process asks once, however often it reads the list"
    kept = list((tmp_path / "runs" / FOLDER).iterdir())
    assert len(kept) == 2
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}


def test_an_unchanged_list_is_not_fetched_again_and_a_changed_one_is(server: ListServer, tmp_path: Path) -> None:
    frozen(tmp_path)
    release_lists()
    assert frozen(tmp_path).size == 1
    assert server.asked[-1] == (PLACE, '"one"')
    release_lists()
    server.answers[PLACE] = (200, {**CSV, "ETag": '"two"'}, PEOPLE + b"bob@example.com,Bob\n")
    assert frozen(tmp_path).size == 2
    release_lists()
    frozen(tmp_path)
    assert server.asked[-1] == (PLACE, '"two"')


def test_a_copy_that_somebody_changed_is_fetched_again(server: ListServer, tmp_path: Path) -> None:
    frozen(tmp_path)
    release_lists()
    (copy,) = (tmp_path / "runs" / FOLDER).glob("*.list")
    copy.write_bytes(b"email\nstranger@example.com\n")
    assert [one.address for one in frozen(tmp_path).recipients()] == ["ada@example.com"]
    assert server.asked[-1] == (PLACE, "")


def test_a_process_reads_one_copy_even_if_another_process_fetches_a_newer_one(
    server: ListServer, tmp_path: Path
) -> None:
    source = open_source(AudienceSection(source=URL), tmp_path)
    (copy,) = (tmp_path / "runs" / FOLDER).glob("*.list")
    newer = copy.with_suffix(".new")
    newer.write_bytes(b"email,name\nnew@example.com,New\n")
    newer.replace(copy)
    assert [row[0] for chunk in source.chunks() for row in chunk.rows] == ["ada@example.com"]


@pytest.mark.parametrize(
    ("link", "address"),
    [
        (
            "https://docs.google.com/spreadsheets/d/1AbC_d-E/edit?usp=sharing#gid=42",
            "https://docs.google.com/spreadsheets/d/1AbC_d-E/export?format=csv&gid=42",
        ),
        (
            "https://docs.google.com/spreadsheets/d/1AbC/edit?gid=7",
            "https://docs.google.com/spreadsheets/d/1AbC/export?format=csv&gid=7",
        ),
        (
            "https://docs.google.com/spreadsheets/d/1AbC",
            "https://docs.google.com/spreadsheets/d/1AbC/export?format=csv",
        ),
        (
            "https://docs.google.com/spreadsheets/d/e/2PACX-1/pubhtml?gid=3&single=true",
            "https://docs.google.com/spreadsheets/d/e/2PACX-1/pub?output=csv&gid=3&single=true",
        ),
        ("https://docs.google.com/document/d/1AbC/edit", "https://docs.google.com/document/d/1AbC/edit"),
        ("https://lists.example.com/a.csv?x=1#part", "https://lists.example.com/a.csv?x=1"),
    ],
)
def test_the_link_of_a_google_sheet_is_that_of_its_export(link: str, address: str) -> None:
    assert list_address(link) == address


def test_a_google_sheet_is_read_and_its_redirect_is_followed(server: ListServer, tmp_path: Path) -> None:
    server.answers["docs.google.com/spreadsheets/d/1AbC/export?format=csv&gid=0"] = (
        307,
        {"Location": "https://other.example.com/sheet"},
        b"",
    )
    chunked = {"Content-Type": "text/csv; charset=utf-8", "Transfer-Encoding": "chunked"}
    server.answers["other.example.com/sheet"] = (200, chunked, b"1f\r\n" + PEOPLE + b"\r\n0\r\n\r\n")
    plan = frozen(tmp_path, "https://docs.google.com/spreadsheets/d/1AbC/edit#gid=0")
    assert [one.address for one in plan.recipients()] == ["ada@example.com"]


@pytest.mark.parametrize(
    ("headers", "body", "name"),
    [
        ({"Content-Type": "application/json"}, b'[{"email": "ada@example.com"}]', "list"),
        ({"Content-Type": "application/x-ndjson"}, b'{"email": "ada@example.com"}\n', "list"),
        ({"Content-Type": "application/octet-stream"}, PEOPLE, "list.csv"),
    ],
)
def test_the_ending_or_the_type_says_what_a_list_is(
    server: ListServer, tmp_path: Path, headers: dict[str, str], body: bytes, name: str
) -> None:
    server.answers[f"lists.example.com/{name}"] = (200, headers, body)
    assert frozen(tmp_path, f"https://lists.example.com/{name}").size == 1


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((404, {}, b""), "gives no list"),
        ((503, {}, b""), "gives no list"),
        ((200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Sign in"), "a web page in place of a list"),
        ((200, {**CSV, "X-Length": "999"}, PEOPLE), "ended too early"),
        ((200, {**CSV, "X-No-Length": "1"}, PEOPLE), "whether it is whole"),
        ((200, {**CSV, "Content-Encoding": "gzip"}, PEOPLE), "whether it is whole"),
        ((200, {**CSV, "Transfer-Encoding": "chunked"}, b"1f\r\n" + PEOPLE + b"\r\n"), "cannot be fetched"),
        ((302, {"Location": URL}, b""), "redirects again and again"),
        ((302, {"Location": "http://lists.example.com/people.csv"}, b""), "an address that is not https"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "an address that is not https"),
        ((302, {"Location": "https://user:secret@lists.example.com/"}, b""), "an address that is not https"),
    ],
)
def test_each_failure_ends_in_a_sentence_and_keeps_nothing(
    server: ListServer, tmp_path: Path, answer: tuple[int, dict[str, str], bytes], sentence: str
) -> None:
    server.answers[PLACE] = answer
    said = message(tmp_path)
    assert sentence in said
    assert "secret" not in said
    assert not list((tmp_path / "runs" / FOLDER).glob("*.list"))


def test_a_failed_fetch_leaves_the_copy_and_reads_nothing_old(server: ListServer, tmp_path: Path) -> None:
    frozen(tmp_path)
    release_lists()
    server.answers[PLACE] = (500, {}, b"")
    assert "gives no list" in message(tmp_path)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("http://lists.example.com/people.csv", "anybody on the way could change the list"),
        ("HTTP://lists.example.com/people.csv", "anybody on the way could change the list"),
        ("https://user:secret@lists.example.com/people.csv", "a login in its address"),
        ("ftp://lists.example.com/people.csv", "is a URL"),
    ],
)
def test_an_unsafe_address_is_refused_before_anything_is_asked(
    server: ListServer, tmp_path: Path, source: str, sentence: str
) -> None:
    said = message(tmp_path, source)
    assert sentence in said
    assert "secret" not in said
    assert not server.asked


def test_a_certificate_that_is_not_trusted_is_refused(
    server: ListServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_https, "NETWORK", server.network(trusted=False))
    said = message(tmp_path)
    assert "cannot be fetched" in said
    assert "certificate is not valid" in said
    monkeypatch.setattr(public_https, "NETWORK", server.network())
    assert "cannot be fetched" in message(tmp_path, "https://wrong.example.com/people.csv")
    assert not server.asked


def test_a_name_that_leads_to_this_machine_or_its_network_is_refused(
    server: ListServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_https, "NETWORK", server.network(permitted=is_on_internet))
    said = message(tmp_path)
    assert "lists.example.com is not on the Internet" in said
    assert "127.0.0.1" in said
    assert not server.asked


def test_the_address_that_was_reached_counts_and_not_the_one_that_was_promised(
    server: ListServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def permitted(address: str) -> bool:
        asked.append(address)
        return len(asked) == 1  # what the name says may pass, what was reached may not

    monkeypatch.setattr(public_https, "NETWORK", server.network(permitted=permitted))
    assert "cannot be fetched" in message(tmp_path)
    assert asked == ["127.0.0.1", "127.0.0.1"]
    assert not server.asked


def test_a_redirect_into_the_own_network_is_refused(
    server: ListServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers[PLACE] = (302, {"Location": "https://inside.example.com/"}, b"")
    open_network = server.network()

    def resolve(host: str, port: int) -> list[tuple[str, int]]:
        return [("169.254.169.254", 443)] if host.startswith("inside") else list(open_network.resolve(host, port))

    inside = msgspec.structs.replace(open_network, resolve=resolve, permitted=lambda one: one == "127.0.0.1")
    monkeypatch.setattr(public_https, "NETWORK", inside)
    assert "inside.example.com is not on the Internet" in message(tmp_path)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f::1", True),
        *((one, False) for one in ("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254")),
        *((one, False) for one in ("0.0.0.0", "100.64.0.1", "224.0.0.1", "255.255.255.255", "no address")),
        *((one, False) for one in ("::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1")),
        *((one, False) for one in ("64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::")),
    ],
)
def test_only_addresses_of_the_internet_are_public(address: str, public: bool) -> None:
    assert is_on_internet(address) is public


def test_no_setting_and_no_variable_opens_the_own_network() -> None:
    assert Network().permitted is is_on_internet
    assert Network() == public_https.NETWORK


def test_a_list_that_is_too_long_is_not_kept(
    server: ListServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_https, "MOST_BYTES", 10)
    assert "too long, or comes too slowly" in message(tmp_path)


def test_a_list_that_comes_too_slowly_is_given_up(
    server: ListServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 1e9])
    monkeypatch.setattr(public_https, "NETWORK", msgspec.structs.replace(server.network(), clock=lambda: next(times)))
    assert "too long, or comes too slowly" in message(tmp_path)


@pytest.mark.parametrize(("step", "whole"), [(0.05, 60.0), (60.0, 0.05)])
def test_a_server_that_says_nothing_is_left_after_the_time_of_a_step_or_of_all(
    server: ListServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: float, whole: float
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections wait there, and nobody takes them
        port = silent.getsockname()[1]
        monkeypatch.setattr(public_https, "STEP", step)
        network = msgspec.structs.replace(server.network(whole=whole), resolve=lambda *_: [("127.0.0.1", port)])
        monkeypatch.setattr(public_https, "NETWORK", network)
        assert "cannot be fetched" in message(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(server: ListServer, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    assert "cannot be kept while it is read" in message(tmp_path)


def test_notes_that_make_no_sense_are_as_none(server: ListServer, tmp_path: Path) -> None:
    frozen(tmp_path)
    (notes,) = (tmp_path / "runs" / FOLDER).glob("*.json")
    for text in ("", "[]", "null", json.dumps({"etag": 1})):
        release_lists()
        notes.write_text(text)
        assert frozen(tmp_path).size == 1
        assert server.asked[-1] == (PLACE, "")


def test_a_report_names_the_server_alone_as_the_rest_of_an_address_opens_the_list() -> None:
    assert shown_source("https://docs.google.com/spreadsheets/d/1AbC/edit?key=x") == "https://docs.google.com/…"
    assert shown_source("lists/people.csv") == "lists/people.csv"


def test_init_looks_at_a_list_by_its_address(
    server: ListServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(cli, ["init", "new", "--list", URL, "--yes", "--from", "news@example.com"])
    assert made.exit_code == 0, made.output
    assert tomllib.loads(Path("new/newsletter.toml").read_text())["audience"]["source"] == URL


def test_a_person_is_forgotten_once_the_list_that_was_fetched_has_the_person_no_more(
    server: ListServer, tmp_path: Path
) -> None:
    (tmp_path / "letter.txt").write_text("News\n")
    (tmp_path / "gazette.toml").write_text(
        f'[campaign]\nname = "gazette"\nfrom = "news@example.com"\n[audience]\nsource = "{URL}"\n'
        '[compose]\nsubject = "News"\ntext = "letter.txt"\n[delivery]\nrelay = "mailbox"\n'
    )
    settings = load(tmp_path / "gazette.toml", {})
    assert send(settings, Options(), Console(quiet=True)) is ExitCode.DONE
    (copy,) = (tmp_path / "runs" / FOLDER).glob("*.list")
    assert b"ada@example.com" in copy.read_bytes()
    release_lists()
    left = forget(settings, "ada@example.com", dry_run=False)
    assert left.code is ExitCode.UNFINISHED
    assert "take the address out of the list" in left.left[str(copy)]
    release_lists()
    server.answers[PLACE] = (200, {**CSV, "ETag": '"two"'}, b"email,name\nbob@example.com,Bob\n")
    result = forget(settings, "ada@example.com", dry_run=False)
    assert result.code is ExitCode.DONE
    assert not any(b"ada@example.com" in path.read_bytes() for path in copy.parent.iterdir())
