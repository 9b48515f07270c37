"""The sandbox for templates: permitted operations, resource limits, and output split into text and values.

Templates are trusted but fallible, rows are hostile. Jinja's sandbox keeps both from dangerous objects; this module
adds limits, which that sandbox lacks. Every operation that can grow a text or a number is checked before (widths,
factors, exponents) or right after (``~``). Every loop iteration, macro, block and included template counts as a beat;
after every `BEATS` of them, the row's time and the size of its output are checked. A single filter call on a text
within the limits cannot be stopped, such as a word wrap of two megabytes (about a second).

The generated code yields the template's constant text, and ``None`` for each printed value; the raw values are stored
separately. This module is independent of e-mail, CSS and files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from itertools import repeat
from types import BuiltinMethodType
from typing import Any

from jinja2 import StrictUndefined, Undefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.environment import Template, TemplateModule
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace
from markupsafe import Markup, escape

from campaign.compose.template.operation_limits import (
    FILTERS,
    LARGEST,
    OPERATORS,
    TooMuch,
    check_format,
    check_method,
    guarded,
    printed,
)
from campaign.compose.template.row_timeout import RowTimer

OPEN, CLOSE = "\x02", "\x03"  #: around a value inside captured text: OPEN value OPEN CLOSE
BEATS = 64  #: loop iterations, macros and the like between two checks of the row's time and size
MOST_ROUNDS = 1_000_000  #: of all loops of one row together
MOST_EVENTS = 200_000  #: pieces one template may print for one row
MOST_WEIGHT = 16 * LARGEST  #: characters of printed values in memory, at most
MOST_MADE = 128 * LARGEST  #: characters and items of all large results of one row, which it may keep in memory
LARGE = 1_000  #: results longer than this are counted

#: The types whose attributes a template may use.
_KNOWN = (
    *(str, bytes, int, float, bool, type(None), date, time_of_day, timedelta, Decimal, list, tuple, dict, range),
    *(LoopContext, Namespace, Cycler, Joiner, TemplateReference, BlockReference, TemplateModule, Macro, Undefined),
)


class _Generator(CodeGenerator):
    """Emits ``environment.put(value)`` for printed values, and unmarked text inside ``set`` and ``filter`` blocks.

    The template may compare, measure and cut the text of these blocks, so it must not contain marks.
    """

    _captured = 0
    _inside = 0
    _result: Frame | None = None

    def _output_child_pre(self, node: Any, frame: Frame, finalize: Any) -> None:  # noqa: ARG002 - Jinja calls it so
        self.write("environment.shown(" if self._captured else "environment.put(")
        if frame.eval_ctx.volatile:
            self.write("(identity if context.eval_ctx.autoescape else Markup)(")
        else:
            self.write("(" if frame.eval_ctx.autoescape or not self.environment.autoescape else "Markup(")

    def _output_child_post(self, node: Any, frame: Frame, finalize: Any) -> None:  # noqa: ARG002 - as above
        self.write("))")

    def visit_AssignBlock(self, node: nodes.AssignBlock, frame: Frame) -> None:  # noqa: N802 - Jinja's name for it
        self._captured += 1
        super().visit_AssignBlock(node, frame)
        self._captured -= 1

    def visit_FilterBlock(self, node: nodes.FilterBlock, frame: Frame) -> None:  # noqa: N802 - Jinja's name for it
        self._printing(super().visit_FilterBlock, node, frame, captured=1)

    def visit_CallBlock(self, node: nodes.CallBlock, frame: Frame) -> None:  # noqa: N802 - Jinja's name for it
        self._printing(super().visit_CallBlock, node, frame, captured=0)

    def _printing(self, visit: Callable[[Any, Frame], None], node: nodes.Node, frame: Frame, captured: int) -> None:
        """Visit a block that writes its own result in ``frame``, which is a printed value too.

        ``captured`` is 1 if the text inside the block is captured unmarked; its result is not.
        """
        outer = self._result, self._inside
        self._result, self._inside = frame, captured
        self._captured += captured
        visit(node, frame)
        self._result, self._inside = outer

    def start_write(self, frame: Frame, node: nodes.Node | None = None) -> None:
        super().start_write(frame, node)
        if frame is self._result:
            self._captured -= self._inside
            self._output_child_pre(node, frame, None)

    def end_write(self, frame: Frame) -> None:
        if frame is self._result:
            self._output_child_post(None, frame, None)
        super().end_write(frame)

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:  # noqa: N802 - Jinja's name for it
        """Inline the look-up of a field in a row's table, with the result of `Sandbox.getattr` but without a call."""
        if not isinstance(node.node, nodes.Name):
            super().visit_Getattr(node, frame)
            return
        self.write("(")
        self.visit(node.node, frame)
        self.write(f"[{node.attr!r}] if type(")
        self.visit(node.node, frame)
        self.write(f") is dict and {node.attr!r} in ")
        self.visit(node.node, frame)
        self.write(" else ")
        super().visit_Getattr(node, frame)
        self.write(")")

    def visit_EnvironmentAttribute(self, node: nodes.EnvironmentAttribute, frame: Frame) -> None:  # noqa: N802 - as above
        """Inline one beat; a property of the environment would take three times as long."""
        if node.name == "beats":
            self.write("next(environment.beats, 1) and environment.look_around()")
        else:
            super().visit_EnvironmentAttribute(node, frame)

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802 - Jinja's name for it
        """Count a slice of a text or a list, since it is a copy."""
        part = isinstance(node.arg, nodes.Slice)
        self.write("environment.counted(" if part else "")
        super().visit_Getitem(node, frame)
        self.write(")" if part else "")

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - Jinja's name for it
        self.write("environment.bounded(")
        super().visit_Concat(node, frame)
        self.write(")")


class _Template(Template):
    """A template whose top-level output stays out of the letter when it is imported."""

    def make_module(self, *args: Any, **options: Any) -> TemplateModule:
        environment: Any = self.environment
        module = super().make_module(*args, **options)
        module._body_stream = [environment.concat(module._body_stream)]  # noqa: SLF001 - no public door
        return module


class Sandbox(ImmutableSandboxedEnvironment):
    """A Jinja environment with limits. ``html`` turns escaping on, whatever the name of a file.

    Without ``marking``, captured text has no marks, as in plain Jinja. ``probing`` marks the values in all captured
    text, including ``set`` and ``filter`` blocks, to find their positions. ``watch`` is the row's timer.
    """

    code_generator_class = _Generator
    template_class = _Template
    intercepted_binops = frozenset(OPERATORS)

    def __init__(self, *, html: bool, watch: RowTimer, **options: Any) -> None:
        super().__init__(
            autoescape=html, undefined=StrictUndefined, auto_reload=False, cache_size=-1, enable_async=False, **options
        )
        self.values: list[Any] = []
        self.usual_put: Callable[[Any], None] = self.values.append
        self.put = self.usual_put
        self.concat = self._concat  # type: ignore[method-assign]  # Jinja declares a class attribute; it reads it from self
        self.html = self.marking = html
        self.probing = False
        self.locale = "en"
        self.watch = watch
        self._rounds = self._weighed = self._weight = self._made = 0
        #: The generated code takes one for each loop iteration, macro, block and template.
        self.beats = repeat(None, BEATS - 1)
        del self.globals["lipsum"], self.filters["random"]  # a letter must be the same each time
        for name, function in self.filters.items():
            self.filters[name] = guarded(function, FILTERS.get(name), self.counted)

    def begin(self) -> None:
        """Reset the state of the last rendering."""
        self.values.clear()
        self._rounds = self._weighed = self._weight = self._made = 0
        self.beats = repeat(None, BEATS - 1)

    def look_around(self) -> None:
        """Check the row's time and size. The generated code calls this whenever `beats` are used up."""
        self.beats = repeat(None, BEATS - 1)
        self._rounds += BEATS
        self.watch.check()
        if self._rounds > MOST_ROUNDS:
            raise TooMuch(f"the template's loops took more than {MOST_ROUNDS:,} rounds for this row")
        fresh = self.values[self._weighed :]
        self._weighed = len(self.values)
        self._weight += sum([len(value) for value in fresh if isinstance(value, str)])
        if self._weight > MOST_WEIGHT:
            raise TooMuch(f"the template prints values of more than {MOST_WEIGHT:,} characters for this row")

    def strict_put(self, value: Any) -> None:
        """As `put`, but slower: it fails at the template's line, to locate an error."""
        printed(value)
        self.values.append(value)

    def shown(self, value: Any) -> str:
        """A value inside captured text, without marks, because the template processes it."""
        text = printed(value)
        self._weight += len(text)
        if self._weight > MOST_WEIGHT:
            raise TooMuch(f"the template prints values of more than {MOST_WEIGHT:,} characters for this row")
        text = str(escape(text)) if self.autoescape else text
        return self._in_marks(value, text) if self.probing else text

    def bounded(self, text: str) -> str:
        """The result of ``~``. Raises TooMuch if it is too long."""
        if len(text) > LARGEST:
            raise TooMuch(f"the template makes a text of more than {LARGEST:,} characters for this row")
        self.counted(text)
        return text

    def counted(self, made: Any) -> Any:
        """The result of an operation. Raises TooMuch if all large results of this row are too much to keep."""
        if isinstance(made, str | list | tuple | bytes) and len(made) > LARGE:
            self._made += len(made)
            if self._made > MOST_MADE:
                raise TooMuch(f"the template makes texts and lists of more than {MOST_MADE:,} characters for this row")
        return made

    def _concat(self, events: Iterable[str | None]) -> str:
        """Captured events as one text, with marks around the values, so that they can be separated later."""
        found = list(events)
        count = found.count(None)
        own = self.values[len(self.values) - count :]
        del self.values[len(self.values) - count :]
        values, texts, size = iter(own), [], 0
        for event in found:
            texts.append(self._marked(next(values)) if event is None else event)
            size += len(texts[-1])
            if size > LARGEST:
                raise TooMuch(f"the template makes a text of more than {LARGEST:,} characters for this row")
        return "".join(texts)

    def _marked(self, value: Any) -> str:
        text = self.shown(value)
        return self._in_marks(value, text) if self.marking and not self.probing else text

    def _in_marks(self, value: Any, text: str) -> str:
        if not text.strip() or OPEN in text or (isinstance(value, Markup) and ("<" in text or not self.probing)):
            return text
        return f"{OPEN}{text}{OPEN}{CLOSE}"

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Allow attributes only of plain values and of Jinja's own objects."""
        return isinstance(obj, _KNOWN) and super().is_safe_attribute(obj, attr, value)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """``order.items`` is the field of that name if the table has one, otherwise the method."""
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call ``obj`` if it is safe and its result is within the limits."""
        if isinstance(obj, BuiltinMethodType):
            check_method(obj, args, kwargs)
        return self.counted(super().call(context, obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """``str.format`` without widths of five digits, without nested fields, and within the limits."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        text, inner = value.__self__, wrapped

        def checked(*args: Any, **kwargs: Any) -> str:
            check_format(text, *args, **kwargs)
            return inner(*args, **kwargs)

        return checked

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """``*``, ``**``, ``%``, ``/``, ``//`` and ``+``, with their limits checked first."""
        OPERATORS[operator](left, right)
        return self.counted(super().call_binop(context, operator, left, right))

    def _generate(self, source: nodes.Template, *args: Any, **options: Any) -> str:
        kinds = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.Block)
        for node in [source, *source.find_all(kinds)]:
            beat = nodes.ExprStmt(nodes.EnvironmentAttribute("beats", lineno=node.lineno), lineno=node.lineno)
            node.body.insert(0, beat)  # type: ignore[attr-defined]  # all of these have one
        return super()._generate(source, *args, **options)
