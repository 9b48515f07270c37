"""A JSON document that holds one array of objects, by itself or as a member of an object.

The text is in memory, the objects are not: they are decoded one by one, each with the line that it begins on.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import msgspec

from campaign.audience.sources.json_records.json_lines import Record
from campaign.audience.sources.json_records.strict_json import StrictDecoder
from campaign.audience.sources.row_chunks import BadRow
from campaign.errors import InputError

#: Characters of a document, at most: its text is held in memory. JSON Lines have no such limit.
LONGEST = 100_000_000
MORE = "more text follows the end"
LINES = 'set format = "jsonl" under [audience]'
_BLANK = re.compile(r"[ \t\r\n]*")
_OBJECTS = re.compile(r"\[[ \t\r\n]*\{")


def records_of_document(pieces: Iterable[str], path: Path) -> Iterator[Record]:
    """The records of a text that arrives in pieces. Raises InputError if it is too long, not JSON, or has no array."""
    parts, length = [], 0
    for piece in pieces:
        parts.append(piece)
        length += len(piece)
        if length > LONGEST:
            raise _too_large(path, parts[0])
    document = _Document("".join(parts))
    del parts
    try:
        yield from document.records()
    except json.JSONDecodeError as error:
        found = document.text[error.pos : error.pos + 1]
        raise InputError(
            f"{path} is not JSON.",
            evidence=f"{path.name}:{error.lineno}, column {error.colno}: {error.msg}",
            next_step=f"if each line is one object, {LINES}"
            if error.msg == MORE and found == "{"
            else "correct it there, or write the list again",
        ) from None
    except RecursionError:
        raise InputError(
            f"{path} is nested too deeply to be read.", next_step="write the list as one array of objects, [{…}, {…}]"
        ) from None
    if len(document.arrays) != 1:
        among = f"these members are: {', '.join(map(repr, document.arrays))}" if document.arrays else "there is none"
        raise InputError(
            f"{path} does not hold exactly one array of objects.",
            evidence=among,
            next_step=f"write the list as [{{…}}, {{…}}]; or, if each line is one object, {LINES}",
        )


class _Document(msgspec.Struct):
    """A document's text, and how far it is read."""

    text: str
    #: The members that are arrays of objects; an array that is the whole document has no name.
    arrays: list[str] = msgspec.field(default_factory=list)
    _decoder: StrictDecoder = msgspec.field(default_factory=StrictDecoder)
    _line: int = 1
    _counted: int = 0

    def records(self) -> Iterator[Record]:
        at = self._after(0)
        if self.text.startswith("{", at):
            at = yield from self._members(at + 1)
        elif self.text.startswith("[", at):
            self.arrays.append("")
            at = yield from self._elements(at + 1)
        else:
            raise self._fault("neither an array nor an object begins here", at)
        if at < len(self.text):
            raise self._fault(MORE, at)

    def _members(self, at: int) -> Generator[Record, None, int]:
        """The records among the members of an object; returns the place after it."""
        at = self._after(at)
        while not self.text.startswith("}", at):
            if not self.text.startswith('"', at):
                raise self._fault("a name in quotes is missing", at)
            name, at = self._decoder.skip(self.text, at)
            at = self._after(self._past(":", self._after(at)))
            if _OBJECTS.match(self.text, at):
                self.arrays.append(str(name))
                at = yield from self._elements(at + 1)
            else:
                at = self._after(self._decoder.skip(self.text, at)[1])
            at = self._separated(at, "}")
        return self._after(at + 1)

    def _elements(self, at: int) -> Generator[Record, None, int]:
        """The records of an array; returns the place after it."""
        at = self._after(at)
        while not self.text.startswith("]", at):
            value, end = self._decoder.skip(self.text, at)
            yield self._record(value, at, end)
            at = self._separated(self._after(end), "]")
        return self._after(at + 1)

    def _record(self, value: object, at: int, end: int) -> Record:
        self._line += self.text.count("\n", self._counted, at)
        self._counted = at
        try:
            return self._line, self._decoder.record(value)
        except ValueError as error:
            return BadRow(self._line, str(error), self.text[at : min(end, at + 200)])

    def _separated(self, at: int, end: str) -> int:
        """Where the next value begins, or at the closing bracket."""
        if self.text.startswith(end, at):
            return at
        at = self._after(self._past(",", at))
        if self.text.startswith(end, at):
            raise self._fault("a value is missing after the comma", at)
        return at

    def _past(self, character: str, at: int) -> int:
        if not self.text.startswith(character, at):
            raise self._fault(f"{character!r} is missing", at)
        return at + 1

    def _after(self, at: int) -> int:
        found = _BLANK.match(self.text, at)
        return found.end() if found else at

    def _fault(self, message: str, at: int) -> json.JSONDecodeError:
        return json.JSONDecodeError(message, self.text, at)


def _too_large(path: Path, beginning: str) -> InputError:
    each = ".[]" if beginning.lstrip().startswith("[") else ".[] | arrays[]"
    return InputError(
        f"{path} is too large to be read as one JSON document.",
        evidence=f"it has more than {LONGEST:,} characters; JSON Lines may have any number",
        next_step=f"write it as JSON Lines: jq -c {shlex.quote(each)} {shlex.quote(path.name)} > {path.stem}.jsonl",
    )
