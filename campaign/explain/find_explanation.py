"""Finds what a typed name or sentence means, or the names that are closest to it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable

from campaign.explain.campaign_keys import PREFIX, campaign_keys
from campaign.explain.explanation import Explanation, explanations
from campaign.explain.message_match import Fit, fit

SENTENCES = ("message", "symptom")
MOST = 5  #: messages explained at once; if more begin with a text, it says too little
MOST_HAVING = 8  #: names listed of which the text is a part
_NUMBERED = re.compile(r"\.\d+(?=\.|$)")


def find_explanations(typed: str) -> list[Explanation]:
    """Everything called ``typed``: by its name, or else the messages that it is, or that begin so."""
    text = (typed.strip().splitlines() or [""])[0].strip()
    return _named(text) or _keys(text) or _key_with_complaint(text) or _messages(text)


def names() -> list[str]:
    """All names that are no sentences: findings, verdicts, exit codes, sections and keys."""
    told = [one.name for one in explanations() if one.kind not in SENTENCES]
    return list(dict.fromkeys([*told, *campaign_keys()]))


def closest(typed: str) -> list[str]:
    """Names of which ``typed`` is a part, or at most three names, or messages, that it may stand for."""
    sentences = [one.name for one in explanations() if one.kind in SENTENCES]
    if " " in typed.strip():
        begun = [one for one in sentences if fit(typed, one)]
        return begun[:3] or _close(typed, sentences, lambda one: one.casefold()[: len(typed)])
    if having := [one for one in names() if plain(typed) in re.split("[.-]", plain(one))]:
        return having[:MOST_HAVING]
    by_last_part = {path.rpartition(".")[2]: path for path in campaign_keys()}
    ends = [by_last_part[one] for one in _close(typed, by_last_part, plain) if "." not in typed]
    return list(dict.fromkeys([*_close(typed, names(), plain), *ends]))[:3]


def _close(typed: str, known: Iterable[str], spelled: Callable[[str], str]) -> list[str]:
    words = {spelled(one): one for one in known}
    return [words[one] for one in difflib.get_close_matches(spelled(typed), words, n=3, cutoff=0.6)]


def plain(name: str) -> str:
    """``In doubt``, ``in_doubt`` and ``in-doubt`` are the same name."""
    return re.sub(r"[\s_]+", "-", name.strip().casefold())


def _named(text: str) -> list[Explanation]:
    wanted = re.sub(r"^(?:exit-)?(?:code-)?(?=\d+$)", "", plain(text))
    found = [one for one in explanations() if one.kind not in SENTENCES and plain(one.name) == wanted]
    return found + (_ending(text) if found else [])


def _keys(text: str) -> list[Explanation]:
    """Keys by dotted path, as a message or the environment writes it, or by their last part."""
    path = text.strip("[]:. ").replace('"', "")
    if path.startswith(PREFIX):
        path = path.removeprefix(PREFIX).lower().replace("__", ".")
    path, known = _NUMBERED.sub("", path), campaign_keys()
    while path and path not in known and "." in path:
        parent = path.rpartition(".")[0]
        if parent in known and (known[parent].keys or known[parent].kind == "section"):
            return []  # the keys of this table are known, and this is none of them
        path = parent  # as in delivery.domain_rate."gmail.com"
    return [known[path]] if path in known else _ending(path)


def _key_with_complaint(text: str) -> list[Explanation]:
    """The key of a mistake in the campaign file: ``delivery.rate: 'fast' is not a rate``; first a message about it."""
    path, colon, _ = text.partition(": ")
    if not colon or "." not in path or " " in path:
        return []
    return [*(one for one in _messages(text) if one.name.startswith(path)), *_keys(path)]


def _ending(part: str) -> list[Explanation]:
    """The keys of which this is the last part."""
    return [key for path, key in campaign_keys().items() if plain(path.rpartition(".")[2]) == plain(part)]


def _messages(text: str) -> list[Explanation]:
    """The messages that fit best; none if more than `MOST` fit equally."""
    fits: dict[Fit, list[Explanation]] = {}
    for one in explanations():
        if one.kind in SENTENCES and (found := fit(text, one.name)):
            fits.setdefault(found, []).append(one)
    best = fits[max(fits)] if fits else []
    return best if len(best) <= MOST else []
