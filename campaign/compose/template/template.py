"""Templates: opened from under the root, compiled once, checked before anything is sent, and rendered for rows.

A `Page` is one template with everything it includes. Its output (`TemplateOutput`) keeps the template's constant text
and the row's values apart; `static_dynamic_split.py` prepares them, and `html/` escapes the values. A mistake that
shows without a row is a ConfigError that names file and line.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError, nodes
from jinja2.environment import Template
from jinja2.runtime import Context
from markupsafe import Markup

from campaign.compose.template.deciding_names import deciding_names
from campaign.compose.template.direct_columns import (
    RenderPaths,
    Statics,
    Straight,
    bound_names,
    captures,
    shortened,
    straight,
)
from campaign.compose.template.filters import FILTERS
from campaign.compose.template.operation_limits import LARGEST, TooMuch, printed, texts
from campaign.compose.template.plain_branches import PlainBranches, plain_branches
from campaign.compose.template.row_timeout import RowTimer
from campaign.compose.template.sandbox import MOST_EVENTS, Sandbox
from campaign.compose.template.template_loader import Loader
from campaign.compose.template.undeclared_names import Closure, undeclared, written_with_blanks
from campaign.compose.value_positions import SlotOrder, in_places
from campaign.errors import ConfigError, close_matches

_TEXT = {str}
#: The key in a row's variables for the locale of the filters, which no template can name; the default is English.
LOCALE, ENGLISH = " locale", "en"
_UNKNOWN = re.compile(r"No (filter|test) named '([^']*)'")


class TemplateOutput(msgspec.Struct, frozen=True, gc=False):
    """A template's output for one row: its constant text with ``None`` for each value, and the raw values.

    ``order`` assigns the values to the slots; without it there is one value for each slot, in order. ``columns`` names
    the first of the values, if they are columns that the template only prints; the others come from Jinja.
    """

    statics: Statics
    values: Sequence[Any]
    order: SlotOrder | None = None
    columns: tuple[str, ...] | None = None


class RowRefused(ValueError):  # noqa: N818 - one row cannot be rendered; the run goes on
    """Why a row cannot be rendered, in words for the owner of the list."""


class Page:
    """One template with everything it includes, ready to be rendered for rows."""

    def __init__(
        self, environment: Sandbox, template: Template, name: str, *, constant: bool, straight: Straight | None
    ) -> None:
        self.name, self.constant, self._straight = name, constant, straight
        self.captures = False  #: whether it captures text before printing it, as macros do
        self.shortcut: tuple[Template, RenderPaths, Context] | None = None
        self.branches: PlainBranches | None = None  #: its code, if the shortcut's is nothing but plain branches
        self._environment, self._template = environment, template
        self._globals = environment.globals

    def render(self, variables: Mapping[str, Any], *, marking: bool = True, probing: bool = False) -> TemplateOutput:
        """Render the template for one row. Raises RowRefused with template, line and reason.

        Without ``marking``, captured text has no marks, as in plain Jinja, so its values are not separated from it.
        With ``probing``, even text that the template processes has marks, so all values are separated, but the output
        may differ.
        """
        environment = self._environment
        environment.locale = variables.get(LOCALE, ENGLISH)
        environment.marking = marking and environment.html
        environment.probing = probing and environment.html
        environment.begin()
        output = None
        if self.shortcut and not probing and environment.put is environment.usual_put:
            output = self._short(*self.shortcut, variables)
        if output is None:
            environment.begin()
            context = self._template.new_context({**self._globals, **variables}, shared=True)
            output = TemplateOutput(self._printed(self._template, context), environment.values.copy())
        return output

    def _short(
        self, template: Template, ways: RenderPaths, context: Context, variables: Mapping[str, Any]
    ) -> TemplateOutput | None:
        """Render the shortened template and fill in the columns that it only prints; None if the row lacks one.

        The context is reused for each row: apart from what is reset here, a shortened template cannot change it.
        """
        context.vars.clear()
        context.exported_vars.clear()
        context.parent = {**self._globals, **variables}
        way = ways.way(self._printed(template, context))
        try:
            columns = way.columns(variables)
        except KeyError:
            return None  # Jinja then gives the line
        return TemplateOutput(way.statics, (*columns, *self._environment.values), way.order, way.names)

    def _printed(self, template: Template, context: Context) -> Statics:
        try:
            statics = tuple(islice(template.root_render_func(context), MOST_EVENTS))
        except Exception as error:  # noqa: BLE001 - a template may fail in any way; the reason is kept for the row
            raise RowRefused(self._reason(error)) from None
        if len(statics) == MOST_EVENTS:
            raise RowRefused(f"{self.name} prints more than {MOST_EVENTS:,} pieces for this row")
        return statics

    def explain(self, variables: Mapping[str, Any], error: Exception) -> RowRefused:
        """The refusal for ``error``, raised by a printed value; renders once more to find the template's line."""
        environment = self._environment
        put, environment.put = environment.put, environment.strict_put
        try:
            self.render(variables)
        except RowRefused as refused:
            return refused
        finally:
            environment.put = put
        return RowRefused(f"{self.name}: {error}")

    def text(self, variables: Mapping[str, Any]) -> str:
        """Render the template for one row as text. Raises RowRefused."""
        text = self._put_between(variables) if self._straight else None
        if text is None:
            text = self._joined(variables)
        if len(text) > LARGEST:
            raise RowRefused(f"{self.name} makes a text of more than {LARGEST:,} characters for this row")
        return text

    def _put_between(self, variables: Mapping[str, Any]) -> str | None:
        """The text of a straight template; None unless all its columns are present and are text."""
        _, columns, form = self._straight  # type: ignore[misc]  # only called where there is one
        try:
            values = columns(variables)
        except KeyError:
            return None
        if values and set(map(type, values)) != _TEXT:
            return None
        return form % values

    def _joined(self, variables: Mapping[str, Any]) -> str:
        output = self.render(variables)
        values = in_places(output.values, output.order)
        try:
            shown = iter(values if set(map(type, values)) <= _TEXT else texts(values, printed))
        except Exception as error:  # noqa: BLE001 - an undefined value, or one that cannot be shown
            raise self.explain(variables, error) from None
        pieces = [next(shown) if piece is None else piece for piece in output.statics]
        if sum(map(len, pieces)) > LARGEST:
            raise RowRefused(f"{self.name} makes a text of more than {LARGEST:,} characters for this row")
        return str("".join(pieces))

    def _reason(self, error: Exception) -> str:
        what = str(error) or type(error).__name__
        if isinstance(error, RecursionError):
            what = "the template calls itself too deeply"
        return f"{_place(error, self.name)}: {what}"


def _place(error: BaseException, name: str) -> str:
    """``template:line`` of the innermost template frame in the traceback of ``error``."""
    place, trace = name, error.__traceback__
    while isinstance(trace, TracebackType):
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            place = f"{_shown(template.name)}:{template.get_corresponding_lineno(trace.tb_lineno)}"
        trace = trace.tb_next
    return place


def _shown(name: str | None) -> str:
    return name or "the template"


class Templates:
    """Opens templates. ``columns`` are the names in a row; ``extras`` are the names that the program adds.

    Relative names of includes are looked up in ``folder``, then in ``root``; both are resolved. ``private`` are files
    and folders that are never read as a template.
    """

    def __init__(
        self,
        root: Path,
        folder: Path,
        columns: Iterable[str],
        extras: Iterable[str],
        watch: RowTimer,
        private: Iterable[Path] = (),
    ) -> None:
        self.loader = Loader(dict.fromkeys((folder, root)), root, private)
        self._columns, self._extras = tuple(columns), tuple(extras)
        self.deciding: dict[str, None] = {}  #: names used in conditions and loops
        self.html = Sandbox(html=True, watch=watch, loader=self.loader)
        self.plain = Sandbox(html=False, watch=watch, loader=self.loader)
        for environment in (self.html, self.plain):
            environment.filters.update(FILTERS)

    def file(self, path: Path, *, html: bool) -> Page:
        """The template in ``path`` (resolved). Raises ConfigError."""
        if not path.is_relative_to(self.loader.root) or not path.is_file():
            raise ConfigError(
                f"There is no template {path} inside {self.loader.root}.",
                next_step="correct the name in [compose], or compose.root, outside which nothing is read",
            )
        name, text = path.relative_to(self.loader.root).as_posix(), self.loader.text(path)
        if not text.strip():
            raise ConfigError(
                f"The template {name} is empty, and so would be every letter.",
                evidence=str(path),
                next_step="write the letter into it, and save it",
            )
        return self._page(text, name, path, html=html)

    def source(self, source: str, name: str) -> Page:
        """A template written in the campaign file; ``name`` is its key, such as ``compose.subject``."""
        return self._page(source, name, None, html=False)

    def sources(self) -> list[tuple[str, str]]:
        """Path under the root and text of every template file that was read."""
        return [(name, octets.decode("utf-8-sig")) for name, octets in sorted(self.loader.read.items())]

    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of every template file that was read, by its path under the root."""
        return {name: hashlib.sha256(octets).hexdigest() for name, octets in sorted(self.loader.read.items())}

    def _page(self, source: str, name: str, path: Path | None, *, html: bool) -> Page:
        environment = self.html if html else self.plain
        self.loader.sealed = False
        try:
            closure = Closure(environment, name, source)
            code = environment.compile(source, name, str(path) if path else name)
            template = environment.template_class.from_code(environment, code, environment.globals)
        except TemplateNotFound as error:
            raise _not_found(error, name, self.loader.folders) from None
        except TemplateSyntaxError as error:
            raise _invalid(error, name, environment, (*self._columns, *self._extras)) from None
        except TemplateError as error:
            raise ConfigError(
                f"The template {name} cannot be used: {error}",
                evidence=_place(error, name),
                next_step=f"correct {name}",
            ) from None
        finally:
            self.loader.sealed = True
        undeclared(closure, self._columns, self._extras)
        self.deciding |= dict.fromkeys(deciding_names(part.tree for part in closure.parts.values()))
        constant = not any(part.tree.find(nodes.Name) for part in closure.parts.values())
        alone = None if html else straight(closure.parts[name].tree)
        page = Page(environment, template, name, constant=constant, straight=alone)
        page.captures = any(map(captures, (part.tree for part in closure.parts.values())))
        self._shorten(page, environment, closure, source, path)
        return page

    def _shorten(self, page: Page, environment: Sandbox, closure: Closure, source: str, path: Path | None) -> None:
        """Give ``page`` its shortcut, if it can have one."""
        name = page.name
        tree = environment.parse(source, name, str(path) if path else name)
        columns = {*self._columns, *self._extras}
        ways = shortened(tree, [part.tree for part in closure.parts.values()], columns)
        if ways is None:
            return
        page.branches = plain_branches(tree, columns - bound_names(tree))
        code = environment.compile(tree, name, str(path) if path else name)
        template = environment.template_class.from_code(environment, code, environment.globals)
        page.shortcut = template, ways, template.new_context()


def _not_found(error: TemplateNotFound, name: str, folders: Iterable[Path]) -> ConfigError:
    return ConfigError(
        f"The template {name} asks for {error.message!r}, which is not there.",
        evidence=[f"looked in {folder}" for folder in folders],
        next_step="correct the name; templates outside compose.root are never read",
    )


def _invalid(error: TemplateSyntaxError, name: str, environment: Sandbox, names: Iterable[str]) -> ConfigError:
    """The error for an invalid template, with file, line, and a suggestion for a misspelt name."""
    where, what = error.name or name, error.message or ""
    step = (
        f"correct {where} in the campaign file"
        if where.startswith(("compose.", "campaign."))
        else f"correct line {error.lineno} of {where}"
    )
    if match := _UNKNOWN.match(what):
        known = environment.filters if match[1] == "filter" else environment.tests
        close = close_matches(match[2], known, n=1, cutoff=0.6)
        ours = f", and {', '.join(FILTERS)}" if match[1] == "filter" else ""
        step += f"; did you mean {close[0]}?" if close else f"; there are those of Jinja{ours}"
    elif meant := written_with_blanks("".join((error.source or "").splitlines()[error.lineno - 1 :][:1]), names):
        step += f": write {{{{ {meant} }}}}"
    return ConfigError(f"The template {where} is not valid: {what}", evidence=f"{where}:{error.lineno}", next_step=step)


__all__ = ["Markup", "Page", "RowRefused", "Statics", "TemplateOutput", "Templates", "TooMuch"]
