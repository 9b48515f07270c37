"""The editions of a campaign in figures: what each run's summary and journal say, and what has come back about it.

An edition may have had several runs, for those who were added or failed. They are one row: its recipients are counted
once, by their keys. An edition that was served ``--again`` has a row for each time.
"""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from campaign.audience.plan.plan_reader import Plan
from campaign.config import Settings
from campaign.errors import CampaignError, ConfigError, DamageError
from campaign.feedback.suppression_rules import is_trusted
from campaign.ledger import run_folder
from campaign.ledger.feedback.feedback_store import read_events
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_records import REHEARSAL, Opened
from campaign.ledger.recovery import read_history
from campaign.model import FeedbackOutcome, Verdict
from campaign.pipeline.finish.close_run import walk
from campaign.pipeline.finish.feedback_figures import RunOutcomes, run_name
from campaign.pipeline.operate.run_standing import is_running
from campaign.pipeline.operate.suppress_dead import SOURCE
from campaign.report import formatting
from campaign.report.feedback.feedback_facts import BOUNCED
from campaign.report.html.editions_page import EditionFigures, shown_share
from campaign.report.live.console import path_text
from campaign.report.summary import NAME

_BY = ["edition", "generation"]
_COUNTS = ("accepted", "bounced", "complained", "unsubscribed")


class EditionStats(msgspec.Struct, frozen=True):
    """The editions of ``campaign`` in the order of their begin, and the sentences about runs that cannot be read."""

    campaign: str
    editions: tuple[EditionFigures, ...]
    unread: tuple[str, ...]

    def table(self, width: int | None = None) -> str:
        """For people, the newest edition last; if ``width`` columns are too few, one figure a line."""
        rows = [
            {
                "edition": one.name,
                "begun (UTC)": formatting.moment(one.begun)[:16],
                "recipients": formatting.grouped(one.recipients),
                "accepted": formatting.share_text(one.accepted_share),
                "bounced": shown_share(one.share(one.bounced)),
                "complained": shown_share(one.share(one.complained)),
                "unsubscribed": shown_share(one.share(one.unsubscribed)),
                "duration": formatting.duration_text(one.seconds),
            }
            for one in self.editions
        ]
        frame = pd.DataFrame(rows).set_index("edition")
        wide = [max(len(str(name)), int(cells.str.len().max())) + 1 for name, cells in frame.items()]
        text: str = frame.rename_axis(columns="edition").rename_axis(index=None).to_string(col_space=wide)
        if width is None or len(text.partition("\n")[0]) <= width:
            return text
        label = max(map(len, rows[0])) + 2
        return "\n".join(f"{name:<{label}}{cell}" for row in rows for name, cell in row.items())

    def csv(self) -> str:
        """One line for each edition: counts, and shares from 0 to 1; what is not known is empty."""
        return self._frame().to_csv(index=False, lineterminator="\n")

    def facts(self) -> dict[str, Any]:
        """For ``--json``: the same; what is not known is null."""
        editions = json.loads(self._frame().to_json(orient="records", double_precision=6))
        return {"campaign": self.campaign, "editions": editions, "unread": list(self.unread)}

    def _frame(self) -> pd.DataFrame:
        return pd.DataFrame([_numbers(one) for one in self.editions]).convert_dtypes()


def _numbers(one: EditionFigures) -> dict[str, Any]:
    shares = {f"{name}_share": one.share(getattr(one, name)) for name in _COUNTS[1:]}
    return {
        "edition": one.edition,
        "generation": one.generation,
        "begun": formatting.iso(one.begun),
        "runs": one.runs,
        "recipients": one.recipients,
        **{name: getattr(one, name) for name in _COUNTS},
        "seconds": round(one.seconds, 3),
        "accepted_share": round(one.accepted_share, 6),
        **{name: None if share is None else round(share, 6) for name, share in shares.items()},
    }


def edition_stats(settings: Settings) -> EditionStats:
    """Compare the editions that were sent through a relay.

    Raises ConfigError where there is none, StorageError and DamageError where the store of feedback cannot be read.
    """
    directory, name = settings.base / settings.ledger.directory, settings.campaign.name
    runs, unread, rehearsals = [], [], 0
    for folder in run_folders(directory / name):
        try:
            found = _run(folder)
        except CampaignError as error:
            unread.append(f"{path_text(folder)} is left out. {' '.join([error.what, *error.evidence])}")
            continue
        rehearsals += found is None
        runs += [found] if found else []
    if not runs:
        raise _nothing(settings, directory / name, rehearsals, unread)
    feedback = _came_back(directory, settings, [one["opened"] for one in runs])
    frame = pd.DataFrame([{**one, **feedback[run_name(one["opened"])]} for one in runs])
    editions = sorted((_edition(some, unread) for _, some in frame.groupby(_BY)), key=lambda one: one.begun)
    return EditionStats(name, tuple(editions), tuple(unread))


def run_folders(place: Path) -> list[Path]:
    """The folders of opened runs of a campaign, with and without an edition."""
    return sorted(filter(run_folder.has_journal, run_folder.folders_below(place, 2)))


def _nothing(settings: Settings, place: Path, rehearsals: int, unread: Sequence[str]) -> CampaignError:
    if unread:
        check = f"see what can be saved: campaign repair {path_text(place)}/RUN --dry-run"
        return DamageError("No run of this campaign can be read.", evidence=unread, next_step=check)
    send = f"campaign send {path_text(settings.file)}"
    step = f"set delivery.relay, or: {send} --relay URL" if rehearsals else f"{send} makes the first"
    left = [f"{formatting.counted(rehearsals, 'rehearsal')} left out, as nobody got a letter"] if rehearsals else []
    return ConfigError(f"There is no run in {path_text(place)}.", evidence=left, next_step=step)


def _run(folder: Path) -> Mapping[str, Any] | None:
    """What the table needs of one run; None for a rehearsal. Raises DamageError, StorageError."""
    path = folder / journal_reader.NAME
    opened = next(journal_reader.read_records(path, journal_reader.Reading()), None)
    if not isinstance(opened, Opened):
        raise DamageError(
            "The journal does not say which campaign it belongs to.",
            evidence=str(path),
            next_step=f"see what can be saved: campaign repair {folder} --dry-run",
        )
    if REHEARSAL in opened.fingerprints:
        return None
    accepted, seconds = _orderly_end(folder) or _from_journal(folder)
    return {
        "opened": opened,
        "folder": folder,
        "edition": opened.edition,
        "generation": opened.generation,
        "begun": opened.at,
        "recipients": opened.recipients,
        "accepted": accepted,
        "seconds": seconds,
    }


def _orderly_end(folder: Path) -> tuple[int, float] | None:
    """The accepted and the duration from the summary, if the run was left in good order since it was written."""
    if is_running(folder) or journal_reader.last_word(folder / journal_reader.NAME) is None:
        return None
    try:
        summary = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return int(summary["verdicts"][Verdict.ACCEPTED]), float(summary["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _from_journal(folder: Path) -> tuple[int, float]:
    history = read_history(folder, running=is_running(folder))
    return history.tally()[Verdict.ACCEPTED], walk(folder).active


def _came_back(directory: Path, settings: Settings, opened: Sequence[Opened]) -> dict[str, dict[str, int | None]]:
    """By run, how many recipients bounced, complained and unsubscribed; None where no feedback is read."""
    outcomes = {run_name(one): RunOutcomes(defaultdict(int), one.recipients) for one in opened}
    told = dict.fromkeys(outcomes, bool(settings.feedback.source))
    for event in read_events(directory):
        if event.source == SOURCE or event.run not in outcomes:
            continue
        told[event.run] = True
        if event.outcome is not FeedbackOutcome.DELIVERED and is_trusted(event, settings.feedback):
            outcomes[event.run].add(event)
    return {name: _figures(outcomes[name]) if told[name] else dict.fromkeys(_COUNTS[1:]) for name in outcomes}


def _figures(outcomes: RunOutcomes) -> dict[str, int | None]:
    counts = outcomes.counts()
    return {
        "bounced": sum(counts.get(one, 0) for one in BOUNCED),
        "complained": counts.get(FeedbackOutcome.COMPLAINT, 0),
        "unsubscribed": counts.get(FeedbackOutcome.UNSUBSCRIBE, 0),
    }


def _edition(runs: pd.DataFrame, unread: list[str]) -> EditionFigures:
    """The runs of one edition and generation, added up; ``unread`` gets a sentence about a plan that is gone."""
    came_back = {name: runs[name].sum(min_count=1) for name in _COUNTS[1:]}
    first = runs.iloc[0]
    return EditionFigures(
        edition=str(first["edition"]),
        generation=int(first["generation"]),
        begun=float(runs["begun"].min()),
        runs=len(runs),
        recipients=_recipients(runs, unread),
        accepted=int(runs["accepted"].sum()),
        **{name: None if pd.isna(count) else int(count) for name, count in came_back.items()},
        seconds=float(runs["seconds"].sum()),
    )


def _recipients(runs: pd.DataFrame, unread: list[str]) -> int:
    largest = int(runs["recipients"].max())
    if len(runs) == 1:
        return largest
    try:
        return distinct_recipients(runs["folder"])
    except CampaignError as error:
        unread.append(f"{error.what} {' '.join(error.evidence)}: the recipients are those of the largest run.")
        return largest


def distinct_recipients(folders: Iterable[Path]) -> int:
    """How many different keys the plans of these runs hold; eight octets each in memory. Raises StorageError."""
    marks = array("q")
    for folder in folders:
        marks.extend(hash(key) for key, _ in Plan.open(folder / run_folder.PLAN).keys_and_addresses())
    return int(pd.Series(marks).nunique())
