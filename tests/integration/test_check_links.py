"""The part of `campaign check --links` that asks web servers, on loopback only."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from campaign.check.findings import Findings
from campaign.check.letters import links
from campaign.check.letters.links import Answer, ask, check_links, is_public


def anywhere(_: str) -> bool:
    return True


class Site(ThreadingHTTPServer):
    """``answers``: path -> (status, Location) for GET; ``heads`` the same for HEAD, where it differs."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.answers: dict[str, tuple[int, str]] = {}
        self.heads: dict[str, tuple[int, str]] = {}
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Page(BaseHTTPRequestHandler):
    server: Site

    def do_HEAD(self) -> None:
        self.reply({**self.server.answers, **self.server.heads})

    def do_GET(self) -> None:
        self.reply(self.server.answers)

    def reply(self, answers: dict[str, tuple[int, str]]) -> None:
        site = self.server
        with site.lock:
            site.at_once += 1
            site.most_at_once = max(site.most_at_once, site.at_once)
            site.asked.append((self.command, self.path))
            site.headers.append({name.lower(): value for name, value in self.headers.items()})
        status, location = answers.get(self.path, (404, ""))
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Set-Cookie", "seen=1")
        with site.lock:  # before the answer leaves: the next question may come with it
            site.at_once -= 1
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        site.shutdown()
        thread.join()


def codes(links: list[str]) -> list[tuple[str, str]]:
    findings = Findings()
    check_links(links, findings, public=anywhere)
    return [(one.severity, one.code) for one in findings]


def test_a_page_that_is_there_is_asked_for_once_and_by_head(site: Site):
    site.answers = {"/a?b=%20c": (200, "")}
    assert ask(f"{site.url}/a?b=%20c#part", anywhere) == Answer(f"{site.url}/a?b=%20c#part")
    assert site.asked == [("HEAD", "/a?b=%20c")]


def test_a_server_that_does_not_like_head_is_asked_again(site: Site):
    site.answers, site.heads = {"/": (200, "")}, {"/": (405, "")}
    assert ask(site.url, anywhere).code == ""
    assert site.asked == [("HEAD", "/"), ("GET", "/")]


@pytest.mark.parametrize(
    ("status", "code"), [(404, "link-dead"), (410, "link-dead"), (500, "link-silent"), (403, ""), (429, ""), (204, "")]
)
def test_what_a_server_answers_is_not_taken_for_more_than_it_proves(status: int, code: str, site: Site):
    site.answers = {"/": (status, "")}
    assert ask(site.url, anywhere).code == code


def test_redirects_are_followed_without_carrying_cookies(site: Site):
    site.answers = {"/a": (301, "/b"), "/b": (302, f"{site.url}/c"), "/c": (200, "")}
    assert ask(f"{site.url}/a", anywhere).code == ""
    assert [path for _, path in site.asked] == ["/a", "/b", "/c"]
    assert all("cookie" not in headers and "referer" not in headers for headers in site.headers)
    assert {headers["user-agent"] for headers in site.headers} == {"campaign-check"}


def test_redirects_without_end_are_left(site: Site):
    site.answers = {"/a": (301, "/a")}
    answer = ask(f"{site.url}/a", anywhere)
    assert (answer.code, "redirects" in answer.why) == ("link-silent", True)
    assert len(site.asked) <= 7


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/"])
def test_nothing_but_the_web_is_asked_also_behind_a_redirect(target: str, site: Site):
    site.answers = {"/": (302, target)}
    answer = ask(site.url, anywhere)
    assert answer.code == "link-silent"
    assert len(site.asked) == 1


def test_private_networks_are_never_asked(site: Site):
    site.answers = {"/": (200, "")}
    answer = ask(site.url, is_public)
    assert (answer.code, "private network" in answer.why) == ("link-silent", True)
    assert site.asked == []


@pytest.mark.parametrize(
    ("address", "public"),
    [("127.0.0.1", False), ("10.0.0.1", False), ("169.254.169.254", False), ("::1", False), ("fe80::1%eth0", False),
     ("100.64.0.1", False), ("0.0.0.0", False), ("8.8.8.8", True), ("2606:4700::1", True)],
)  # fmt: skip
def test_which_addresses_everybody_can_reach(address: str, public: bool):
    assert is_public(address) is public


def test_a_host_is_asked_one_thing_at_a_time_and_each_fault_is_named(site: Site):
    site.answers = {f"/{number}": (200, "") for number in range(10)}
    links = [f"{site.url}/{number}" for number in range(12)]
    assert codes(links) == [("error", "link-dead"), ("error", "link-dead")]
    assert site.most_at_once == 1


def test_a_host_that_nobody_answers_at_is_a_warning(site: Site):
    site.shutdown()
    site.server_close()
    assert codes([f"{site.url}/{number}" for number in range(9)]) == [("warning", "link-silent")]


def test_no_more_links_than_a_person_would_follow(site: Site, monkeypatch: pytest.MonkeyPatch):
    site.answers = {f"/{number}": (200, "") for number in range(9)}
    monkeypatch.setattr(links, "MOST_LINKS", 5)
    findings = Findings()
    check_links([f"{site.url}/{number}" for number in range(9)], findings, public=anywhere)
    assert [(one.severity, one.code) for one in findings] == [("unverified", "further-links")]
    assert len(site.asked) == 5


def test_when_time_is_up_the_rest_is_not_verified(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(links, "ALL_SECONDS", -1.0)
    began = time.monotonic()
    assert codes([f"{site.url}/{number}" for number in range(9)]) == [("unverified", "further-links")]
    assert site.asked == []
    assert time.monotonic() - began < 5
