"""Link checks: ask web servers whether a campaign's links lead somewhere, politely and within bounds.

HEAD first, or GET if a server refuses that, of which only the head of the answer is read. One request at a time to a
host, a bounded number of hosts at a time, no cookies, no names, no body sent. Only http and https, only to public
addresses, also behind redirects: a row must not make us probe a private network. The caller leaves out the links that
unsubscribe a recipient.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from campaign.check.findings import Findings

MOST_LINKS, MOST_HOSTS_AT_ONCE = 200, 8
PATIENCE = 10.0  #: seconds for one request
ALL_SECONDS = 120.0  #: for all links together; the rest is listed as not verified
MOST_HOPS = 5
HEADERS = {"User-Agent": "campaign-check", "Accept": "*/*", "Connection": "close"}
_SAFE = "%/:=&?~+!$,;'@()*[]"  # characters of a path or query that stay unquoted
#: Answers to HEAD after which GET is worth a try.
_TRY_GET = frozenset({400, 403, 404, 405, 406, 409, 410, 429, 500, 501, 503})
#: Answers that prove that the page exists: it may be for members, or not for programs.
_THERE = frozenset({401, 403, 405, 406, 407, 418, 429, 451})


class Answer(msgspec.Struct, frozen=True):
    """The result for one link: no ``code`` if it is sound, ``why`` in words, ``host`` if it did not answer."""

    link: str
    code: str = ""
    why: str = ""
    host: str = ""


def check_links(links: Sequence[str], findings: Findings, *, public: Callable[[str], bool] | None = None) -> None:
    """Request the first of ``links`` and report those that lead nowhere. ``public`` decides about addresses."""
    asked = list(links[:MOST_LINKS])
    late, deadline = len(links) - len(asked), time.monotonic() + ALL_SECONDS
    by_host: dict[str, list[str]] = defaultdict(list)
    for link in asked:
        by_host[(urlsplit(link).hostname or "").lower()].append(link)

    def ask_host(own: list[str]) -> list[Answer | None]:
        answers: list[Answer | None] = []
        for link in own:
            late = time.monotonic() > deadline
            answers.append(None if late else ask(link, public or is_public))
            if (last := answers[-1]) and last.host == urlsplit(link).hostname:
                break  # the host is silent, so skip its other links
        return answers

    with ThreadPoolExecutor(MOST_HOSTS_AT_ONCE) as pool:
        for answers in pool.map(ask_host, by_host.values()):
            for answer in answers:
                late += answer is None
                if answer is not None and answer.code:
                    report_link(answer, findings)
    if late:
        what = "more links, or slower ones, than a check asks for"
        findings.add("unverified", "further-links", what, remedy=f"{late:,} not asked")


def report_link(answer: Answer, findings: Findings) -> None:
    """Report a link that did not answer well."""
    if answer.code == "link-dead":
        findings.add("error", "link-dead", f"{answer.link} {answer.why}", remedy="correct or remove it")
    else:
        what = f"{answer.host or answer.link} {answer.why}"
        findings.add("warning", "link-silent", what, remedy="open the links there yourself")


def ask(link: str, public: Callable[[str], bool]) -> Answer:
    """Follow one link to its end."""
    target = link
    for _ in range(MOST_HOPS + 1):
        try:
            status, location = _request(target, public)
        except (OSError, http.client.HTTPException, ValueError) as error:
            host = urlsplit(target).hostname or ""
            return Answer(link, "link-silent", f"does not answer: {why_silent(error)}", host)
        if 300 <= status < 400 and location:
            target = urljoin(target, location)
            continue
        if status < 400 or status in _THERE:
            return Answer(link)
        code = "link-dead" if status in (404, 410) else "link-silent"
        return Answer(link, code, f"answers {status} {http.client.responses.get(status, '')}".rstrip())
    return Answer(link, "link-silent", f"leads on and on, over {MOST_HOPS} redirects")


def _request(target: str, public: Callable[[str], bool]) -> tuple[int, str]:
    status, head = ask_server("HEAD", target, public)
    if status in _TRY_GET:
        status, head = ask_server("GET", target, public)
    return status, head.get("Location", "")


def ask_server(method: str, target: str, public: Callable[[str], bool], form: str = "") -> tuple[int, Message]:
    """The status and the header of the answer to one request, which may send a ``form``.

    The address is resolved once and then dialled, so that no second look-up can change it. Raises OSError,
    HTTPException, ValueError.
    """
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it leads to something that is no web page")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    line = _dialled(parts.hostname, port, public)
    try:
        if parts.scheme == "https":
            line = ssl.create_default_context().wrap_socket(line, server_hostname=parts.hostname)
        connection = http.client.HTTPConnection(parts.hostname, port, timeout=PATIENCE)
        connection.sock = line
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        connection.request(method, quote(path, safe=_SAFE), form or None, {**HEADERS, **kind})
        answer = connection.getresponse()
        return answer.status, answer.headers
    finally:
        line.close()


def _dialled(host: str, port: int, public: Callable[[str], bool]) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(address[0]) for *_, address in found]
    if not all(map(public, addresses)):
        raise ValueError(f"{host} is an address inside a private network, which is never asked")
    return socket.create_connection((addresses[0], port), PATIENCE)


def is_public(address: str) -> bool:
    """Whether this IP address is publicly reachable."""
    return ipaddress.ip_address(address.partition("%")[0]).is_global


def why_silent(error: Exception) -> str:
    """Why a server gave no answer, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, socket.gaierror):
        return "its host has no address"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
