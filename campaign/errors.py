"""Exceptions that end a run; the failure of one recipient is an `Outcome` and raises nothing.

Every error states what happened (one plain sentence), the evidence (file:line, row, reply) and what to type next.
The exit codes are in `exit_codes.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class CampaignError(Exception):
    """An error for the operator; ``str(error)`` is the text for the terminal."""

    def __init__(self, what: str, *, evidence: str | Sequence[str] = (), next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.evidence = (evidence,) if isinstance(evidence, str) else tuple(evidence)
        self.next_step = next_step

    def __reduce__(self) -> tuple[object, ...]:
        """Keep all three parts when an error is sent to another process."""
        return _rebuild, (type(self), self.what, self.evidence, self.next_step)

    def __str__(self) -> str:
        lines = [self.what, *(f"  {line}" for line in self.evidence)]
        if self.next_step:
            lines.append(f"Next: {self.next_step}")
        return "\n".join(lines)


def install_extra(extra: str) -> str:
    """The command that installs a missing optional library, to be typed in the source folder.

    It must not install this project from a package index: the name there is not ours, so it could be another program.
    """
    return f"pip install '.[{extra}]'"


def close_matches(word: str, known: Iterable[str], n: int = 1, cutoff: float = 0.6) -> list[str]:
    """At most ``n`` known words that are spelled like ``word``, for an error that suggests them."""
    from difflib import get_close_matches  # for a mistake only

    return get_close_matches(word, list(known), n, cutoff)


def _rebuild(kind: type[CampaignError], what: str, evidence: tuple[str, ...], next_step: str) -> CampaignError:
    return kind(what, evidence=evidence, next_step=next_step)


class ConfigError(CampaignError):
    """The campaign file or a template is wrong, or the run's inputs changed since it began."""


class InputError(CampaignError):
    """The input data cannot be read."""


class RelayError(CampaignError):
    """No relay can be used, or the breaker stopped the run."""


class LoginError(CampaignError):
    """A relay refused our login. Never retried automatically: repeated failures lock accounts."""


class StorageError(CampaignError):
    """The run folder or the journal cannot be written."""


class DamageError(CampaignError):
    """The journal is damaged somewhere other than at its torn last line."""


class UnfinishedError(CampaignError):
    """Not finished and nothing is wrong: run the same command again later."""


class InternalError(CampaignError):
    """A bug in this program, such as row counts that do not balance."""
