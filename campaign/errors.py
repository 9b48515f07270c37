"""What can end a run. A failed recipient is an `Outcome`; only the run itself raises.

Every error answers three questions: what happened (one plain sentence), on what evidence (file:line, row,
reply), and what to type next. The exit code belongs to the command line (`cli/exit_codes.py`), not here.
"""

from __future__ import annotations

from collections.abc import Sequence


class CampaignError(Exception):
    """Something the operator has to know; ``str(error)`` is the text for the terminal."""

    def __init__(self, what: str, *, evidence: str | Sequence[str] = (), next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.evidence = (evidence,) if isinstance(evidence, str) else tuple(evidence)
        self.next_step = next_step

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross between processes whole."""
        return _rebuild, (type(self), self.what, self.evidence, self.next_step)

    def __str__(self) -> str:
        lines = [self.what, *(f"  {line}" for line in self.evidence)]
        if self.next_step:
            lines.append(f"Next: {self.next_step}")
        return "\n".join(lines)


def install_extra(extra: str) -> str:
    """The next thing to type where an optional library is missing, to be typed in the folder of the source.

    No package index is named: the name there is not this project's, so another's program could stand under it.
    """
    return f"pip install '.[{extra}]'"


def _rebuild(kind: type[CampaignError], what: str, evidence: tuple[str, ...], next_step: str) -> CampaignError:
    return kind(what, evidence=evidence, next_step=next_step)


class ConfigError(CampaignError):
    """The campaign file or a template is wrong, or the run's inputs changed since it began."""


class InputError(CampaignError):
    """The input data cannot be read."""


class RelayError(CampaignError):
    """No relay can be used, or the breaker stopped the run."""


class LoginError(CampaignError):
    """A relay refused our login. Never retried by itself: it locks accounts."""


class StorageError(CampaignError):
    """The run folder or the journal cannot be written."""


class DamageError(CampaignError):
    """The journal is damaged somewhere other than at its torn last line."""


class UnfinishedError(CampaignError):
    """Not finished and nothing is wrong: run the same command again later."""


class InternalError(CampaignError):
    """A fault of ours, such as books that do not balance."""
