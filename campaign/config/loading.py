"""Loads a campaign file and the environment into frozen settings, or reports every mistake at once.

A value set as ``CAMPAIGN__SECTION__KEY`` in the environment replaces the one in the file. Only the campaign file
itself is read here; each stage opens the sources, templates and passwords that it needs.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from campaign.config.audience import AudienceSection
from campaign.config.base_section import Section
from campaign.config.campaign import CampaignSection
from campaign.config.compose import ComposeSection
from campaign.config.delivery import DeliverySection
from campaign.config.feedback import FeedbackSection
from campaign.config.ledger import LedgerSection
from campaign.config.report import ReportSection
from campaign.errors import ConfigError, close_matches

PREFIX = "CAMPAIGN__"

#: If a value may have several types, pydantic puts the type it tried into the path; messages show only keys.
_KIND = re.compile(r"[a-z-]+\[.*\]|int|float|str|bool|[A-Z]\w*Section", re.DOTALL)
_PLACE = re.compile(r"at line (\d+)")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
#: Keys of earlier releases, and what to write instead.
_GONE: dict[tuple[str | int, ...], str] = {
    ("compose", "processes"): "the processes that send now render too; write processes = N under [delivery] instead",
}
_ONE_RECIPIENT = (
    "no letter has copies: each recipient gets a letter of their own, is recorded once and sees nobody else; "
    "add the address to the list, or have answers sent there by reply_to"
)
_WORDS = {
    "missing": "required, and not there",
    "bool_parsing": "should be true or false",
    "bool_type": "should be true or false",
    "dict_type": "should be a table",
    "float_parsing": "should be a number",
    "float_type": "should be a number",
    "int_parsing": "should be a whole number",
    "int_type": "should be a whole number",
    "list_type": "should be a list",
    "model_type": "should be a table",
    "path_type": "should be text in quotes",
    "string_type": "should be text in quotes",
    "timezone_aware": "should say its time zone, such as 2026-11-24T08:00:00+01:00 or 2026-11-24T07:00:00Z",
    "tuple_type": "should be text in quotes, or a list",
}


class CampaignFile(Section):
    """The sections of a campaign file."""

    campaign: CampaignSection
    audience: AudienceSection
    compose: ComposeSection
    # What a file leaves out has its defaults, for which nothing is parsed.
    delivery: DeliverySection = DeliverySection.model_construct()
    ledger: LedgerSection = LedgerSection.model_construct()
    feedback: FeedbackSection = FeedbackSection.model_construct()
    report: ReportSection = ReportSection.model_construct()


class Settings(CampaignFile):
    """A parsed campaign file and its path. ``base`` is its folder, to which relative paths are relative.

    ``relay_option`` is the relay that `--relay` put in place of the file's, or ``""``.
    """

    base: Path
    file: Path
    relay_option: str = ""


def load(file: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Parse ``file``, with the environment overriding it. Raises ConfigError naming every mistake."""
    data = _read(file)
    environment = os.environ if environment is None else environment
    _overlay(data, environment)
    try:
        parsed = CampaignFile.model_validate(data)
    except ValidationError as error:
        mistakes = list(_mistakes(error.errors(), environment))
        raise ConfigError(
            f"{file} has {len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}.",
            evidence=mistakes,
            next_step=f"correct {file} and run `campaign check {file}`; `campaign explain KEY` explains a key",
        ) from None
    return Settings.model_construct(**dict(parsed), base=file.resolve().parent, file=file.resolve())


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise _not_there(file) from None
    except OSError as error:
        raise ConfigError(
            f"The campaign file {file} cannot be read.",
            evidence=error.strerror or str(error),
            next_step=f"name a file that you may read{_such_as(file)}",
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file} is not UTF-8.", evidence=f"byte {error.start}: {error.reason}", next_step=f"save {file} as UTF-8"
        ) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(file, text, str(error)) from None


def _not_there(file: Path) -> ConfigError:
    return ConfigError(
        f"There is no campaign file {file}.",
        evidence=() if file.parent.is_dir() else f"there is no folder {file.parent}",
        next_step=f"name one that is there{_such_as(file)}, or have one written: campaign init",
    )


def _such_as(file: Path) -> str:
    """The end of a sentence naming the TOML file beside ``file`` with the closest name; empty if there is none."""
    try:
        names = sorted(path.name for path in file.parent.glob("*.toml") if path.name != "pyproject.toml")
    except OSError:
        return ""
    close = close_matches(file.name, names, n=1, cutoff=0.5) or names[:1]
    return f", such as {file.parent / close[0]}" if close else ""


def _not_toml(file: Path, text: str, why: str) -> ConfigError:
    """The error for invalid TOML, showing the line. A file not named ``.toml`` is most likely the wrong file."""
    place, lines = _PLACE.search(why), text.split("\n")
    shown = f"line {place[1]}: {lines[int(place[1]) - 1].strip()[:100]}" if place else ""
    hint = '; text stands in quotes, as in name = "gazette"' if why.startswith("Invalid value") else ""
    hint = "; each key and each section may stand there once" if why.startswith("Cannot") else hint
    step = f"correct {file}{hint}"
    if file.suffix != ".toml":
        step = f"name the campaign file{_such_as(file)}"
    return ConfigError(f"{file} is not valid TOML.", evidence=[why, shown] if shown else why, next_step=step)


def _overlay(data: dict[str, Any], environment: Mapping[str, str]) -> None:
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX) or not text:
            continue
        *tables, key = name[len(PREFIX) :].lower().split("__")
        target = data
        for table in tables:
            target = target.setdefault(table, {})
            if not isinstance(target, dict):
                raise ConfigError(
                    f"{name} points into a value that is not a table.",
                    evidence=".".join([*tables, key]),
                    next_step=f"unset {name}; docs/reference.md lists what there is",
                )
        target[key] = _environment_value(text)


def _environment_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _mistakes(errors: Iterable[Any], environment: Mapping[str, str]) -> Iterator[str]:
    """One sentence for each path. A value that fits none of several types is reported by its inner keys alone."""
    variables = {name.lower(): name for name in environment if name.startswith(PREFIX)}
    told: dict[tuple[str | int, ...], list[str]] = {}
    for error in errors:
        path = tuple(part for part in error["loc"] if isinstance(part, int) or not _KIND.fullmatch(part))
        complaint = _complaint(error, path)
        if complaint not in told.setdefault(path, []):
            told[path].append(complaint)
    tables = {path[:length] for path in told for length in range(1, len(path))}
    for path, complaints in told.items():
        if path not in tables:
            yield f"{_dotted(path)}: {', or '.join(complaints)}{_from_environment(path, variables)}"


def _from_environment(path: tuple[str | int, ...], variables: Mapping[str, str]) -> str:
    """The environment variable that set a wrong value, if it is not from the file."""
    name = (PREFIX + "__".join(map(str, path))).lower()
    found = [variable for lowered, variable in variables.items() if lowered == name or lowered.startswith(f"{name}__")]
    return f" (set by {found[0]})" if found else ""


def _complaint(error: Any, path: tuple[str | int, ...]) -> str:
    if error["type"] == "extra_forbidden" and str(path[-1]).lower() in {"cc", "bcc"}:
        return _ONE_RECIPIENT
    if error["type"] == "extra_forbidden" and path in _GONE:
        return _GONE[path]
    if error["type"] == "extra_forbidden":
        return f"unknown key{_suggestion(path)}"
    if error["type"] == "string_pattern_mismatch":
        field = _field_at(path)
        return f"cannot be written so: {field.description}" if field and field.description else "cannot be written so"
    plain = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return _WORDS.get(error["type"], plain)


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(f'"{part}"' if not _BARE_KEY.fullmatch(str(part)) else str(part) for part in path)


def _suggestion(path: tuple[str | int, ...]) -> str:
    model = _model_at(path[:-1])
    known = [field.alias or name for name, field in model.model_fields.items()] if model else []
    close = close_matches(str(path[-1]), known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(known)}" if known else ""


def _field_at(path: tuple[str | int, ...]) -> FieldInfo | None:
    model = _model_at(path[:-1])
    fields = model.model_fields.items() if model else ()
    return next((field for name, field in fields if path[-1] in (name, field.alias)), None)


def _model_at(path: tuple[str | int, ...]) -> type[BaseModel] | None:
    model: type[BaseModel] | None = CampaignFile
    for part in path:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part) if model else None
        model = next(iter(_models_in(field.annotation)), None) if field else None
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)
