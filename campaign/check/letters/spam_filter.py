"""Spam scores of a few letters from the operator's own filter: rspamd over HTTP, or SpamAssassin's spamd.

``HOST:PORT`` means rspamd, unless the port is spamd's 783; ``spamd://HOST:PORT`` and ``rspamd://HOST:PORT`` state it. A
filter that cannot be reached proves nothing, and is listed as not verified. Its score is a hint: other filters have
other rules.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Sequence

import msgspec

from campaign.check.findings import Findings
from campaign.errors import ConfigError
from campaign.model import Letter

PATIENCE = 30.0
SPAMD_PORT, RSPAMD_PORT = 783, 11333
LONGEST_ANSWER = 1_000_000  #: octets
NAMED = 4  #: symbols shown
_SPAMD = re.compile(r"Spam:\s*(?:True|False|Yes|No)\s*;\s*(-?[\d.]+)\s*/\s*(-?[\d.]+)", re.IGNORECASE)
_PLACE = re.compile(r"(?:(rspamd|spamd)://)?(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?/?")


class SpamScore(msgspec.Struct, frozen=True):
    """A filter's result for one letter: points, the points from which on it is spam, and the rules with the most."""

    score: float
    required: float
    symbols: tuple[str, ...]


def check_spam(place: str, letters: Sequence[Letter], findings: Findings) -> None:
    """Have ``letters`` scored by the filter at ``place``. Raises ConfigError for an invalid place."""
    program, host, port = parsed(place)
    ask = spamd if program == "spamd" else rspamd
    worst: SpamScore | None = None
    try:
        for letter in letters:
            verdict = ask(host, port, letter)
            worst = verdict if worst is None or verdict.score > worst.score else worst
    except (OSError, http.client.HTTPException, ValueError) as error:
        findings.add("unverified", "spam-score", f"{program} at {host}:{port} cannot be asked: {error}")
        return
    if worst is None:
        findings.add("unverified", "spam-score", "there was no letter to ask about")
    elif worst.score >= worst.required:
        report_spam("error", f"{program} takes it for spam", worst, findings)
    elif worst.score >= worst.required / 2:
        report_spam("warning", f"{program} is half way to taking it for spam", worst, findings)


def report_spam(severity: str, what: str, worst: SpamScore, findings: Findings) -> None:
    """Report the score, with the rules that gave most points."""
    why = f": {', '.join(worst.symbols[:NAMED])}" if worst.symbols else ""
    message = f"{what} ({worst.score:g} of {worst.required:g} points{why})"
    remedy = "look up these rules, and change what they dislike"
    findings.add("error" if severity == "error" else "warning", "spam", message, remedy=remedy)


def parsed(place: str) -> tuple[str, str, int]:
    """``"127.0.0.1:783"`` -> ``("spamd", "127.0.0.1", 783)``. Raises ConfigError."""
    match = _PLACE.fullmatch(place)
    if match is None:
        raise ConfigError(f"--spam {place!r} is not a place.", next_step="write it as HOST:PORT, or spamd://HOST:PORT")
    port = int(match[3] or 0) or (SPAMD_PORT if match[1] == "spamd" else RSPAMD_PORT)
    return match[1] or ("spamd" if port == SPAMD_PORT else "rspamd"), match[2].strip("[]"), port


def rspamd(host: str, port: int, letter: Letter) -> SpamScore:
    """Ask rspamd (POST /checkv2). Raises OSError, HTTPException, or ValueError for an invalid answer."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    try:
        envelope = {"From": letter.sender, "Rcpt": letter.recipient.encode().decode("latin-1")}
        connection.request("POST", "/checkv2", body=letter.content, headers=envelope)
        answer = connection.getresponse()
        if answer.status != 200:
            raise ValueError(f"it answers {answer.status}")
        said = json.loads(answer.read(LONGEST_ANSWER))
        symbols = sorted(said.get("symbols", {}).items(), key=lambda pair: -float(pair[1].get("score", 0)))
        named = tuple(name for name, one in symbols if float(one.get("score", 0)) > 0)
        return SpamScore(float(said["score"]), float(said["required_score"]), named)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its answer is not understood ({error})") from None
    finally:
        connection.close()


def spamd(host: str, port: int, letter: Letter) -> SpamScore:
    """Ask SpamAssassin (SYMBOLS of the spamd protocol). Raises OSError, or ValueError for an invalid answer."""
    with socket.create_connection((host, port), PATIENCE) as line:
        line.sendall(b"SYMBOLS SPAMC/1.2\r\nContent-length: %d\r\n\r\n" % len(letter.content) + letter.content)
        line.shutdown(socket.SHUT_WR)
        said = b""
        while len(said) < LONGEST_ANSWER and (more := line.recv(65536)):
            said += more
    head, _, body = said.decode("utf-8", "replace").partition("\r\n\r\n")
    match = _SPAMD.search(head)
    if match is None:
        raise ValueError(f"its answer is not understood ({head[:60]!r})")
    return SpamScore(float(match[1]), float(match[2]), tuple(filter(None, body.strip().split(","))))
