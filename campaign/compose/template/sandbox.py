"""The fence around templates: what a template may do, how much it may make, and how its output is taken apart.

Templates are trusted but fallible, rows are hostile: the sandbox of Jinja keeps both away from anything with power,
and this module adds what the sandbox does not have, bounds. Every operation that can grow a text or a number is looked
at before (widths, factors, exponents) or right after (``~``); every loop round, macro, block and included template
beats a pulse, by which the row's time and what it has printed are looked at. What cannot be stopped: one single filter
call on a text within the bounds, such as a word wrap of two megabytes (about a second).

The generated code yields the template's own text, and ``None`` where a value was printed; the values are kept aside,
raw. Nothing of e-mail, CSS or files is known here.
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
BEATS = 64  #: of a template's pulse between two looks at the row's time and size
MOST_ROUNDS = 1_000_000  #: of all loops of one row together
MOST_EVENTS = 200_000  #: pieces one template may print for one row
MOST_WEIGHT = 16 * LARGEST  #: characters of printed values that may be in memory
MOST_MADE = 128 * LARGEST  #: characters and items of all large things that one row may have made, so kept in memory
LARGE = 1_000  #: from here on a thing is counted

#: Whose attributes a template may use.
_KNOWN = (
    *(str, bytes, int, float, bool, type(None), date, time_of_day, timedelta, Decimal, list, tuple, dict, range),
    *(LoopContext, Namespace, Cycler, Joiner, TemplateReference, BlockReference, TemplateModule, Macro, Undefined),
)


class _Generator(CodeGenerator):
    """Emits ``environment.put(value)`` for what is printed; unmarked text inside ``set`` and ``filter`` blocks.

    Their text may be compared, measured and cut by the template, so it has to be what it seems.
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
        """Visit a block that writes its result itself, in ``frame``: that is a printed value too.

        ``captured`` is 1 where the text inside the block is captured unmarked; its result no longer is.
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
        """A field of a row's own table, as `Sandbox.getattr` has it, without a call for each."""
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
        """A beat of the pulse: a property of the environment would take thrice the time."""
        if node.name == "beats":
            self.write("next(environment.beats, 1) and environment.look_around()")
        else:
            super().visit_EnvironmentAttribute(node, frame)

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802 - Jinja's name for it
        """A part of a text or a list is a copy."""
        part = isinstance(node.arg, nodes.Slice)
        self.write("environment.counted(" if part else "")
        super().visit_Getitem(node, frame)
        self.write(")" if part else "")

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - Jinja's name for it
        self.write("environment.bounded(")
        super().visit_Concat(node, frame)
        self.write(")")


class _Template(Template):
    """Keeps what an imported template prints at its top level out of the importing letter."""

    def make_module(self, *args: Any, **options: Any) -> TemplateModule:
        environment: Any = self.environment
        module = super().make_module(*args, **options)
        module._body_stream = [environment.concat(module._body_stream)]  # noqa: SLF001 - no public door
        return module


class Sandbox(ImmutableSandboxedEnvironment):
    """A Jinja environment within bounds. ``html`` turns escaping on, whatever a file is called.

    ``marking`` off leaves captured text without marks: what plain Jinja would print. ``probing`` marks the values in
    all captured text, ``set`` and ``filter`` blocks too, to see what stands where. ``watch`` is the row's.
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
        #: The generated code takes one for each loop round, macro, block and template.
        self.beats = repeat(None, BEATS - 1)
        del self.globals["lipsum"], self.filters["random"]  # a letter has to come out the same each time
        for name, function in self.filters.items():
            self.filters[name] = guarded(function, FILTERS.get(name), self.counted)

    def begin(self) -> None:
        """Forget what is left of the last drawing."""
        self.values.clear()
        self._rounds = self._weighed = self._weight = self._made = 0
        self.beats = repeat(None, BEATS - 1)

    def look_around(self) -> None:
        """Called by the generated code whenever `beats` are used up."""
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
        """Slower than `put`, but fails where the template stands: for finding the line of an error."""
        printed(value)
        self.values.append(value)

    def shown(self, value: Any) -> str:
        """A value inside captured text, without marks, as the template is going to work on it."""
        text = printed(value)
        self._weight += len(text)
        if self._weight > MOST_WEIGHT:
            raise TooMuch(f"the template prints values of more than {MOST_WEIGHT:,} characters for this row")
        text = str(escape(text)) if self.autoescape else text
        return self._in_marks(value, text) if self.probing else text

    def bounded(self, text: str) -> str:
        """The result of ``~``, if it is not too large."""
        if len(text) > LARGEST:
            raise TooMuch(f"the template makes a text of more than {LARGEST:,} characters for this row")
        self.counted(text)
        return text

    def counted(self, made: Any) -> Any:
        """What an operation made, as long as all that this row made is not too much to be kept."""
        if isinstance(made, str | list | tuple | bytes) and len(made) > LARGE:
            self._made += len(made)
            if self._made > MOST_MADE:
                raise TooMuch(f"the template makes texts and lists of more than {MOST_MADE:,} characters for this row")
        return made

    def _concat(self, events: Iterable[str | None]) -> str:
        """Captured events as one text, the values in marks, so that they are still known as values later."""
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
        """Only plain values and what Jinja itself hands out have attributes; a stranger has none."""
        return isinstance(obj, _KNOWN) and super().is_safe_attribute(obj, attr, value)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """``order.items`` is the field of that name where the row has one, and only then the method."""
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call ``obj`` if it is safe and will not make too much."""
        if isinstance(obj, BuiltinMethodType):
            check_method(obj, args, kwargs)
        return self.counted(super().call(context, obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """``str.format`` without widths of five digits, without nested fields, and within the bounds."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        text, inner = value.__self__, wrapped

        def checked(*args: Any, **kwargs: Any) -> str:
            check_format(text, *args, **kwargs)
            return inner(*args, **kwargs)

        return checked

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """``*``, ``**``, ``%``, ``/`` and ``+``, with a look at what will come of them."""
        OPERATORS[operator](left, right)
        return self.counted(super().call_binop(context, operator, left, right))

    def _generate(self, source: nodes.Template, *args: Any, **options: Any) -> str:
        kinds = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.Block)
        for node in [source, *source.find_all(kinds)]:
            beat = nodes.ExprStmt(nodes.EnvironmentAttribute("beats", lineno=node.lineno), lineno=node.lineno)
            node.body.insert(0, beat)  # type: ignore[attr-defined]  # all of these have one
        return super()._generate(source, *args, **options)
