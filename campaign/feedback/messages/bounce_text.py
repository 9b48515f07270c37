"""Parses bounces in prose: of Exim, qmail, sendmail, Google, Yahoo, Exchange, and any with an address and a reply."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from email.message import Message
from functools import cached_property
from importlib.util import find_spec

import msgspec

from campaign.errors import ConfigError, install_extra
from campaign.feedback.messages.diagnosis import diagnosis
from campaign.feedback.messages.message_keys import ADDRESS, addresses_in, first_ones
from campaign.feedback.messages.message_parts import HeaderBlock
from campaign.model import Reply

MOST_LINES = 1_000  #: lines of a text that are read
MOST_FAILED = 100  #: failed addresses of one message
MOST_WORDS = 25  #: lines kept of the text about one address
MOST_GUESSED_AT = 200  #: lines, of at most 500 characters, passed to the library

#: The line between the text and the returned letter.
_COPY = re.compile(
    r"(?im)^(?:[ \t>*=-]*(?:"
    r"(?:below|this|included|enclosed|here|attached)\b[^\n]{0,40}\bcopy of\b"
    r"|(?:the )?(?:original|unsent|returned|undelivered|rejected) (?:message|mail)"
    r"(?: (?:follows?|headers?|info|text))*[ \t:.=-]*$"
    r"|(?:original |returned )?(?:message )?headers? follow|the header of the original message"
    r")[^\n]*|(?=(?:Received|Return-Path|X-Received):[ \t]?\S))"
)
#: A line that begins with an address, alone or followed by text about it.
_NAMES = re.compile(
    rf"(?i)[ \t]*(?:[*>+-]{{1,3}}[ \t]*)?(?:recipient(?: address)?:[ \t]*|rcpt to:[ \t]*|\[status: error, address: )?"
    rf"<?{ADDRESS.pattern}>?(?=$|[\s:;,.\[(])(?P<rest>.*)"
)
#: Lines of an SMTP session (sendmail and its derivatives): the address of a command or a reply.
_SESSION = re.compile(
    rf"(?i)[ \t]*(?:>>> RCPT TO:[ \t]*<{ADDRESS.pattern}>"
    rf"|(?P<code>[45]\d\d[ -](?:[45]\.\d+\.\d+ )?)<?{ADDRESS.pattern}>?)(?P<rest>.*)"
)
#: A line of an SMTP session about no address: ``550 mail.example.com (smtp)... 550 Host unknown``.
_OF_OTHERS = re.compile(r"[2-5]\d\d \S{1,255} ?(?:\(\w{1,20}\))?\.\.\. |(?:\.\.\. )?[Ww]hile talking to ")
_DAEMON = re.compile(r"(?i)(mailer[-_]?daemon|mail[-_. ]?(delivery|deliver|daemon)|mmdf)")
_POSTMASTER = re.compile(r"(?i)poo?st_?master@")
_ANSWER = re.compile(r"(?i)\s*(re|aw|sv|antw|fwd?|wg)\s?:")
_FAILED_SUBJECT = re.compile(
    r"(?i)(undeliver|un?able to deliver|deliver(y|ing)?\b.{0,25}(fail|error|problem|status|notif|your mail)"
    r"|fail(ed|ure)\b.{0,15}(deliver|notice|mail)|mail (system |delivery )?(error|fail)"
    r"|return(ed)? (mail|to sender|email)|non-?deliver|unzustellbar|non remis|error sending your mail"
    r"|could ?n[o']t be delivered|(delayed|warning).{0,20}mail"
    r"|message delayed|rejected mail|mail .{0,20}delayed|message .{0,60}delayed)"
)
_FAILED_WORDS = re.compile(
    r"(?i)(could ?n[o']t be delivered|undeliverable|(un|was ?n[o']t )able to (send|deliver|relay)"
    r"|delivery (to|has)?.{0,60}failed|failed permanently|did not reach the following"
    r"|had (permanent fatal|delivery) (errors|problems)"
    r"|was not delivered|not been delivered|returned (permanent|temporary) errors|has been delayed)"
)
_AFTER_CONTENT = re.compile(r"in reply to (?:end of )?DATA|>>> (?:DATA|\.)\s{1,9}<<< [45]")
_DELAYED = re.compile(
    r"(?i)(warning message only|has (been delayed|not yet been delivered)|not yet been delivered|will be retried"
    r"|will (keep|continue) (trying|to try)|still being (tried|attempted)|do not need to resend"
    r"|delivery attempts will continue)"
)
_DELAYED_SUBJECT = re.compile(r"(?i)(\(delay|delayed|warning: could not send|warning: message)")
_SENDERS = re.compile(r"(?im)^[ \t]*(?:mail )?(?:from|sender|reply-to|contact)\b[^\n]*")
_OURS = re.compile(r"(?i)(mailer-daemon|postmaster|support|abuse|helpdesk|no-?reply)@")


class FailedAddress(msgspec.Struct, frozen=True):
    """An address that a text mentions; ``""`` if it names none. ``reply``: what it says about the address."""

    address: str
    reply: Reply


def split_story(text: str) -> tuple[str, str]:
    """The text itself, and the returned letter below it, which may be empty."""
    found = _COPY.search(text)
    return (text, "") if found is None else (text[: found.start()], text[found.end() :])


@dataclass(frozen=True)
class BounceText:
    """The prose of a message above the returned letter, parsed on demand."""

    head: HeaderBlock
    story: str

    def is_announced(self) -> bool:
        """Whether its header identifies it as a server's notice that a letter was not delivered."""
        return "x-failed-recipients" in self.head or _DAEMON.search(self.head.first("from")[:300]) is not None

    def is_told(self) -> bool:
        """Whether its text does; a person's answer may contain any words, a postmaster's only a code."""
        subject = self.head.words("subject")[:300]
        postmaster = _POSTMASTER.search(self.head.first("from")[:300]) is not None
        if not postmaster and ("in-reply-to" in self.head or _ANSWER.match(subject)):
            return False
        if _FAILED_SUBJECT.search(subject) or _FAILED_WORDS.search(self.story[:4_000]):
            return bool(self.failed)
        return postmaster and any(one.reply.code or one.reply.enhanced for one in self.failed)

    def is_delay(self) -> bool:
        """Whether it says that delivery is still being attempted."""
        return (
            _DELAYED.search(self.story) is not None
            or _DELAYED_SUBJECT.search(self.head.words("subject")[:300]) is not None
        )

    def is_about_content(self) -> bool:
        """Whether the refusal came after the content, so the recipient had already been accepted."""
        return "DATA" in self.story and _AFTER_CONTENT.search(self.story) is not None

    @cached_property
    def failed(self) -> tuple[FailedAddress, ...]:
        """The failed addresses, each with its reply; at most `MOST_FAILED`."""
        announced = [one for value in self.head.all("x-failed-recipients") for one in addresses_in(value[:20_000])]
        own = set(addresses_in(self.head.first("to")[:2_000])) - set(announced)
        said = _said_of_each(self.story, own)
        said = {one: words for one, words in said.items() if one in announced} or said
        if len(said) == 1 and len(announced) == 1:
            said = {announced[0]: next(iter(said.values()))}
        overall = diagnosis(_telling(self.story))
        if not any(said.values()):
            candidates = announced or list(said) or _guessed(self.head, self.story, own)
            said = dict.fromkeys(candidates[:MOST_FAILED], "") or _said_of_each(self.story, set())
        alone = len(said) == 1
        return tuple(
            FailedAddress(one, _better(diagnosis(words), overall, alone=alone)) for one, words in said.items()
        ) or _nobody(overall)


def _better(own: Reply, overall: Reply, *, alone: bool) -> Reply:
    """The reply about the address itself, unless it is empty, or vaguer than the text about the only address."""
    return overall if not own.text or (alone and not own.code and not own.enhanced and overall.code) else own


def _nobody(reply: Reply) -> tuple[FailedAddress, ...]:
    return (FailedAddress("", reply),) if reply.code or reply.enhanced or _FAILED_WORDS.search(reply.text) else ()


def _said_of_each(story: str, own: set[str]) -> dict[str, str]:
    """Address -> the text about it: its own line and those below, up to the next address that is not in ``own``."""
    said: dict[str, list[str]] = {}
    current: list[str] = []
    for line in _lines(story):
        address, words = _named(line)
        if not address and _OF_OTHERS.match(line):
            current = []
        elif not address or address in own:
            if len(current) < MOST_WORDS:
                current.append(line.strip())
        elif address in said or len(said) < MOST_FAILED:
            current = said.setdefault(address, [])
            current.append(words)
    return {address: " ".join(filter(None, lines)) for address, lines in said.items()}


def _named(line: str) -> tuple[str, str]:
    """The address at the start of a line, ``""`` if there is none, and the rest of the line."""
    if "@" not in line or len(line) > 2_000:
        return "", line
    found = _NAMES.match(line)
    if found:
        return found[1], found["rest"].lstrip(" :>;,\t")
    found = _SESSION.match(line)
    if found:
        return found[1] or found[3], (found["code"] or "") + found["rest"].lstrip(" :>.\t")
    return "", line


def _telling(story: str) -> str:
    """The first paragraph that quotes a code, else the whole text without polite phrases."""
    paragraphs = [
        " ".join(line.strip() for line in lines.split("\n") if not _PHRASES.match(line))
        for lines in _BLANK.split("\n".join(_lines(story)))
    ]
    return next((words for words in paragraphs if diagnosis(words).code), " ".join(filter(None, paragraphs)))


_BLANK = re.compile(r"\n[ \t]*\n")
_PHRASES = re.compile(
    r"(?i)[ \t=*-]*(this (message|is )|a message (that|sent)|recipients?\. |could not be delivered to (one|all)|hi\b"
    r"|i'?m (sorry|afraid)|please|you (can|need)|thank|if you|your (message|mail)|for further|delete your"
    r"|there was an error delivering|$)"
)


def require_bounce_library(extra: str) -> None:
    """Raise ConfigError, which names ``extra``, if the library for bounces is not installed."""
    if find_spec("flufl") is None:
        raise ConfigError(
            "Reading bounces from messages needs a library that is not installed.", next_step=install_extra(extra)
        )


def _lines(story: str) -> list[str]:
    return story.split("\n", MOST_LINES)[:MOST_LINES]


def _guessed(head: HeaderBlock, story: str, own: set[str]) -> list[str]:
    """Addresses of a text without a known form: those that flufl.bounce finds, else any that is not ours."""
    found = [one for one in _by_library(head, story) if one not in own]
    found = found or [one for one in addresses_in(_SENDERS.sub("", story)) if one not in own]
    return [one for one in found if not _OURS.match(one)] or found


def _by_library(head: HeaderBlock, story: str) -> tuple[str, ...]:
    from flufl.bounce import all_failures

    logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)  # it logs tracebacks of the errors caught below
    message = Message()
    for name in ("From", "To", "Subject"):
        message[name] = "".join(filter(str.isprintable, head.first(name.lower())[:500]))
    lines = [line[:500] for line in story.split("\n", MOST_GUESSED_AT)[:MOST_GUESSED_AT]]
    message.set_payload("\n".join(lines).encode("ascii", "replace").decode("ascii"))
    try:
        temporary, permanent = all_failures(message)
    except (ValueError, LookupError, AttributeError, TypeError):  # it does not expect hostile messages
        return ()
    return first_ones(one.decode("ascii", "replace") for one in sorted({*permanent, *temporary}))
