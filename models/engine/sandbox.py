"""Jinja for the programs of people we do not know: in a sandbox, and ended by a count.

Jinja's own sandbox keeps a template from the file system and from Python's internals, but
lets it loop for ever and make strings without end. Here each turn of a loop and each call
is a step, and whatever is made is weighed in characters before it is made; both are
counted, and a template that is over its count is ended.
"""

# ruff: noqa: ANN401  # anything at all may be a value in a template
# Jinja types the values of its filters, globals and nodes as unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import wraps
from typing import Any, NoReturn, cast

from jinja2 import Template, TemplateError, nodes, pass_context
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from models.engine.sandbox_count import (
    MOST_BITS,
    NODE,
    Budget,
    TooMuchWork,
    filter_weight,
    format_weight,
    length,
    method_weight,
)
from models.engine.sandbox_nodes import BUILT, CONCATENATED, LOOPED, SEARCHED, STEP, counted


class Sandbox(ImmutableSandboxedEnvironment):
    """The Jinja that chat templates are written for, as transformers has it.

    Any thread may run a template; each run has a count of its own.
    """

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols, _Generation],
            finalize=self._finalize(),
        )
        self._local = threading.local()
        self.filters["tojson"] = _to_json
        for name, each in self.filters.items():
            self.filters[name] = self._bounded(name, each)
        self.filters.update(self._counters())
        self.globals.update(
            raise_exception=_raise_exception,
            strftime_now=_strftime_now,
            dict=_Dict(),
            namespace=_Namespace,
        )
        del self.globals["lipsum"]

    def compiled(self, tree: nodes.Template) -> Template:
        """Raises jinja2.TemplateError, SyntaxError, RecursionError."""
        return self.from_string(counted(tree))

    def run(
        self, template: Template, variables: Mapping[str, object], *, entries: int, characters: int
    ) -> str:
        """Run a template on messages and tools: how many, and how long together.

        Raises:
            TooMuchWork: it is over its count.
            Exception: whatever the template raises.
        """
        self._local.budget = Budget(entries, characters)
        try:
            return "".join(template.generate(variables))
        except MemoryError:
            raise TooMuchWork from None
        finally:
            del self._local.budget

    @property
    def _budget(self) -> Budget:
        # None while a template is compiled: Jinja takes an error there for "not a constant".
        return self._local.budget

    # -- What Jinja asks before it does something ----------

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        # Kimi's templates keep a queue. Lists that they are given are copies.
        queues = type(obj) is list and attr in ("append", "pop")
        return queues or super().is_safe_attribute(obj, attr, value)

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        budget = self._budget
        budget.step()
        # Jinja's sandbox wraps str.format.
        subject = getattr(getattr(obj, "__wrapped__", obj), "__self__", None)
        if isinstance(subject, str | bytes | int | float):
            budget.spend(method_weight(budget, subject, obj.__name__, args, kwargs))
        elif obj is self.globals["dict"]:
            budget.weigh([args, kwargs])
        result = super().call(context, obj, *args, **kwargs)
        if isinstance(result, str | bytes | list | tuple):
            budget.spend(len(result))
        return result

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        budget = self._budget
        match operator, left, right:
            case ("*", str() | bytes() | list() | tuple(), int()):
                budget.spend(budget.weigh(left) * max(0, right))
            case ("*", int(), str() | bytes() | list() | tuple()):
                budget.spend(budget.weigh(right) * max(0, left))
            case ("*", int(), int()) if left.bit_length() + right.bit_length() > MOST_BITS:
                raise TooMuchWork
            case ("**", int(), int()) if left.bit_length() * abs(right) > MOST_BITS:
                raise TooMuchWork
            case ("+", str(), str()):
                budget.spend(len(left) + len(right))
            case ("+", list() | tuple(), list() | tuple()):
                budget.weigh(min(left, right, key=len))
                budget.spend(len(left) + len(right))
            case ("%", str(), _):
                budget.spend(format_weight(budget, left, right))
            case _:
                budget.step()
        return super().call_binop(context, operator, left, right)

    # -- What the templates' own operations are replaced by -

    def _finalize(self) -> Callable[[Context, object], object]:
        @pass_context
        def written(context: Context, value: object) -> object:
            self._budget.spend(len(value)) if isinstance(value, str) else self._budget.weigh(value)
            return value

        return written

    def _counters(self) -> dict[str, Callable[..., Any]]:
        @pass_context
        def step(context: Context, characters: int) -> None:
            budget = self._budget
            budget.step()
            budget.spend(characters)

        @pass_context
        def concatenated(context: Context, parts: list[object]) -> str:
            self._budget.weigh(parts)
            return "".join(map(str, parts))

        @pass_context
        def built(context: Context, value: object) -> object:
            self._budget.weigh(value)
            return value

        @pass_context
        def looped(context: Context, value: object) -> object:
            self._budget.spend(NODE * length(value))
            return value

        @pass_context
        def searched(context: Context, value: object) -> object:
            share = 8 if isinstance(value, str) else 1  # looking for a text is quick
            self._budget.spend(0 if isinstance(value, dict) else length(value) // share)
            return value

        return {
            STEP: step,
            CONCATENATED: concatenated,
            BUILT: built,
            LOOPED: looped,
            SEARCHED: searched,
        }

    def _bounded(self, name: str, made: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(made)  # and with it what Jinja passes first: a context, an environment
        def bounded(*args: Any, **kwargs: Any) -> Any:
            budget = self._budget
            budget.step()
            # What is filtered comes first, or behind what Jinja passes.
            at = 1 if hasattr(made, "jinja_pass_arg") else 0
            subject, options = args[at], [*args[at + 1 :], *kwargs.values()]
            if name == "join" or (name == "tojson" and isinstance(subject, Iterator)):
                subject = list(cast("Iterable[object]", subject))
                args = (*args[:at], subject, *args[at + 1 :])
            budget.spend(filter_weight(budget, name, subject, options))
            result = made(*args, **kwargs)
            if isinstance(result, str | list | tuple):
                budget.spend(len(result))
            return result

        return bounded


class _Generation(Extension):
    """``{% generation %}`` marks what an assistant wrote, for training. Here it is its body."""

    tags = {"generation"}  # noqa: RUF012  # as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


class _Dict:
    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)


class _Namespace(Namespace):
    def __repr__(self) -> str:  # Jinja's writes out what it holds, which may be itself
        return "<namespace>"


# -- What transformers' Jinja has besides (utils/chat_template_utils.py) --------


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own escapes HTML, and templates are written for this one.
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(format: str) -> str:
    return datetime.now().astimezone().strftime(format)
