"""Model formulas as R writes them, read into terms; nothing in a formula is ever evaluated as code.

The grammar is R's (``~ + - * / : ^ **``, parentheses, backticks), the functions are an allow-list:
``log``, ``exp``, ``sqrt``, ``I`` for arithmetic on numeric columns, ``C`` (or ``factor``) for categories with
an optional reference level, and in survival formulas ``Surv`` and ``strata``.
A small parser of our own stands here since formulaic, whose terms the tests compare with, takes over two
seconds of processor time to import.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from salerno.analysis.model import Scope
from salerno.analysis.questions import Factor, factor, numeric, variable
from salerno.catalogue.model import Datatype
from salerno.kernel.errors import Invalid, near

FUNCTIONS = ("log", "exp", "sqrt")
_CALLS = (*FUNCTIONS, "I", "C", "factor", "Surv", "strata", "Treatment")
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)"
    r"|(?P<name>[^\W\d][\w.]*|\.[^\W\d][\w.]*)|`(?P<quoted>[^`]+)`|(?P<text>\"[^\"]*\"|'[^']*')"
    r"|(?P<sign>\*\*|[-+*/:^(),=~]))"
)


@dataclass(frozen=True)
class Node:
    """One node of a parsed formula.

    Args:
        kind: ``name``, ``number``, ``text``, ``call``, ``named`` (a named argument) or an operator.
        value: Name, number, text or function.
        parts: Operands or arguments.
    """

    kind: str
    value: Any = None
    parts: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Numeric:
    """A numeric factor of a term: a column, or arithmetic on columns.

    Args:
        text: As R names it, e.g. ``I(age^2)``.
        node: What to compute.
        columns: Columns that it reads.
    """

    text: str
    node: Node
    columns: tuple[str, ...]


TermFactor = Numeric | Factor
Term = tuple[TermFactor, ...]


@dataclass(frozen=True)
class Formula:
    """A model formula with its columns resolved.

    Args:
        response: Numeric response, a two-level factor, or None when there is no left side or it is ``Surv``.
        time, event: Columns of ``Surv(time, event)``, or empty.
        intercept: Whether the model has one.
        terms: Terms by rising order, without the intercept.
        strata: Columns named in ``strata(…)``.
    """

    text: str
    response: TermFactor | None
    intercept: bool
    terms: tuple[Term, ...]
    time: str = ""
    event: str = ""
    strata: tuple[str, ...] = ()

    @property
    def numerics(self) -> tuple[Numeric, ...]:
        """Distinct numeric factors of the right side, in order of appearance."""
        found = (f for term in self.terms for f in term if isinstance(f, Numeric))
        return tuple({f.text: f for f in found}.values())

    @property
    def factors(self) -> tuple[Factor, ...]:
        """Distinct categorical factors of the right side, in order of appearance."""
        found = (f for term in self.terms for f in term if isinstance(f, Factor))
        return tuple({f.column: f for f in found}.values())


def parse_formula(text: Any, scope: Scope, references: Mapping[str, str] | None = None) -> Formula:
    """Read a formula against the dictionary.

    Args:
        text: The formula, e.g. ``status ~ age + C(site)``.
        scope: What the nodes agree on; its dictionary has the columns.
        references: Reference level by column, for factors that the formula gives none.

    Raises:
        Invalid: It is no formula, or names a column or function that does not exist (the nearest is told).
    """
    if not isinstance(text, str) or text.count("~") != 1:
        raise Invalid("wrong-formula", "'formula' must be a text with one '~', as in \"y ~ age + sex\"")
    left, right = text.split("~")
    reader = _Reader(text, scope, dict(references or {}))
    response, time, event = reader.response(_parse(left, text)) if left.strip() else (None, "", "")
    if not right.strip():
        raise Invalid("wrong-formula", f"The formula {text!r} has no right side")
    intercept, terms = reader.terms(_parse(right, text))
    return Formula(
        text=text,
        response=response,
        time=time,
        event=event,
        intercept=intercept,
        terms=terms,
        strata=tuple(reader.strata),
    )


def render(node: Node) -> str:
    """A node as R deparses it, for names of terms."""
    if node.kind in ("name", "number"):
        return node.value if node.kind == "name" else f"{node.value:.15g}"
    if node.kind == "text":
        return f'"{node.value}"'
    if node.kind == "call":
        return f"{node.value}({', '.join(map(render, node.parts))})"
    if node.kind == "paren":
        return f"({render(node.parts[0])})"
    if len(node.parts) == 1:
        return f"{node.kind}{render(node.parts[0])}"
    space = " " if node.kind in "+-*" else ""
    return f"{render(node.parts[0])}{space}{node.kind}{space}{render(node.parts[1])}"


@dataclass
class _Parser:
    """Precedence climbing over R's operators, loosest first: ``+ -``, ``* /``, ``:``, unary minus, ``^``."""

    source: str
    tokens: list[tuple[str, Any]]
    place: int = 0

    def peek(self) -> tuple[str, Any]:
        return self.tokens[self.place] if self.place < len(self.tokens) else ("end", "")

    def take(self, sign: str) -> bool:
        if self.peek() == ("sign", sign):
            self.place += 1
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.take(sign):
            raise self.wrong(f"{sign!r} is missing")

    def wrong(self, what: str) -> Invalid:
        return Invalid("wrong-formula", f"The formula {self.source.strip()!r} cannot be read: {what}")

    def left_to_right(self, signs: tuple[str, ...], level: Any) -> Node:
        node: Node = level()
        while self.peek()[0] == "sign" and self.peek()[1] in signs:
            sign = self.tokens[self.place][1]
            self.place += 1
            node = Node(sign, parts=(node, level()))
        return node

    def sum(self) -> Node:
        return self.left_to_right(("+", "-"), self.product)

    def product(self) -> Node:
        return self.left_to_right(("*", "/"), self.interaction)

    def interaction(self) -> Node:
        return self.left_to_right((":",), self.signed)

    def signed(self) -> Node:
        for sign in ("-", "+"):
            if self.take(sign):
                return Node(sign, parts=(self.signed(),))
        return self.power()

    def power(self) -> Node:
        node = self.atom()
        if self.take("^") or self.take("**"):
            return Node("^", parts=(node, self.signed()))
        return node

    def atom(self) -> Node:
        kind, value = self.peek()
        self.place += 1
        if kind in ("number", "text"):
            return Node(kind, value)
        if kind == "quoted":
            return Node("name", value)
        if kind == "name":
            return self.call(value) if self.take("(") else Node("name", value)
        if (kind, value) == ("sign", "("):
            node = self.sum()
            self.expect(")")
            return Node("paren", parts=(node,))
        raise self.wrong("it ends too early" if kind == "end" else f"{value!r} stands at a wrong place")

    def call(self, name: str) -> Node:
        if name not in _CALLS:
            raise Invalid(
                "unknown-function", f"Formulas have no function {name!r}", remedy=near(name, _CALLS)
            )
        arguments: list[Node] = []
        while not self.take(")"):
            if arguments:
                self.expect(",")
            kind, value = self.peek()
            follows = self.tokens[self.place + 1] if self.place + 1 < len(self.tokens) else ("end", "")
            if kind == "name" and follows == ("sign", "="):
                self.place += 2
                arguments.append(Node("named", value, (self.sum(),)))
            else:
                arguments.append(self.sum())
        return Node("call", name, tuple(arguments))


def _parse(part: str, source: str) -> Node:
    tokens: list[tuple[str, Any]] = []
    place = 0
    while part[place:].strip():
        match = _TOKEN.match(part, place)
        if match is None:
            raise Invalid(
                "wrong-formula",
                f"The formula {source.strip()!r} cannot be read at {part[place:].strip()[:12]!r}",
            )
        kind = str(match.lastgroup)
        value: Any = match[kind]
        tokens.append(
            (kind, float(value) if kind == "number" else value.strip("\"'") if kind == "text" else value)
        )
        place = match.end()
    parser = _Parser(source, tokens)
    node = parser.sum()
    if parser.place < len(tokens):
        raise parser.wrong(f"{tokens[parser.place][1]!r} stands at a wrong place")
    return node


@dataclass
class _Reader:
    """Turns nodes into terms, with the dictionary at hand."""

    text: str
    scope: Scope
    references: dict[str, str]
    order: dict[str, TermFactor] = field(default_factory=dict)
    strata: list[str] = field(default_factory=list)

    def response(self, node: Node) -> tuple[TermFactor | None, str, str]:
        if node.kind == "call" and node.value == "Surv":
            if len(node.parts) != 2 or any(part.kind != "name" for part in node.parts):
                raise Invalid("wrong-formula", "Write the survival response as Surv(time, event)")
            time, event = (part.value for part in node.parts)
            numeric(self.scope, time, role="time")
            variable(self.scope, event, role="event")
            return None, time, event
        return self.factor(node), "", ""

    def terms(self, node: Node) -> tuple[bool, tuple[Term, ...]]:
        chain: list[tuple[str, Node]] = []
        while node.kind in ("+", "-"):
            chain.append((node.kind, node.parts[-1]))
            if len(node.parts) == 1:
                break
            node = node.parts[0]
        else:
            chain.append(("+", node))
        intercept = True
        found: dict[frozenset[str], None] = {}
        for sign, part in reversed(chain):
            if part.kind == "number" and part.value in (0.0, 1.0):
                intercept = (part.value == 1.0) == (sign == "+")
            elif part.kind == "call" and part.value == "strata":
                self.add_strata(part)
            elif sign == "+":
                found |= dict.fromkeys(self.expand(part))
            else:
                for term in self.expand(part):
                    found.pop(term, None)
        ordered = sorted(found, key=len)  # R: by order of interaction, then as written
        places = {name: place for place, name in enumerate(self.order)}
        return intercept, tuple(
            tuple(self.order[name] for name in sorted(term, key=places.__getitem__)) for term in ordered
        )

    def add_strata(self, node: Node) -> None:
        for part in node.parts:
            if part.kind != "name":
                raise Invalid("wrong-formula", "strata(…) takes column names")
            self.strata.append(factor(self.scope, part.value, role="strata").column)

    def expand(self, node: Node) -> list[frozenset[str]]:
        """The terms of a node as sets of factor names."""
        if node.kind == "paren":
            return self.expand(node.parts[0])
        if node.kind == "number":
            raise Invalid(
                "wrong-formula",
                f"The number {node.value:g} is no term",
                remedy="Arithmetic stands inside I(…), as in I(2 * age).",
            )
        if node.kind in ("name", "call"):
            read = self.factor(node)
            name = read.text if isinstance(read, Numeric) else f"C({read.column})"
            known = self.order.setdefault(name, read)
            if isinstance(known, Factor) and known != read:
                raise Invalid("wrong-formula", f"{name!r} is used with two different reference levels")
            return [frozenset({name})]
        if len(node.parts) == 1:
            raise Invalid("wrong-formula", f"A term of {self.text.strip()!r} has a sign before it")
        left = self.expand(node.parts[0])
        if node.kind == "^":
            power = node.parts[1]
            if power.kind != "number" or power.value not in (1.0, 2.0, 3.0, 4.0):
                raise Invalid(
                    "wrong-formula", "A term's power must be 1, 2, 3 or 4; write I(x^2) for a square"
                )
            result = left
            for _ in range(int(power.value) - 1):
                result = _union(result, (a | b for a in result for b in left))
            return result
        right = self.expand(node.parts[1])
        crossed = (a | b for a in left for b in right)
        match node.kind:
            case "+":
                return _union(left, right)
            case "-":
                return [term for term in left if term not in right]
            case ":":
                return _union([], crossed)
            case "*":
                return _union(_union(left, right), crossed)
        whole = frozenset[str]().union(*left)
        return _union(left, (whole | b for b in right))

    def factor(self, node: Node) -> TermFactor:
        """One factor of a term."""
        if node.kind == "name":
            found = variable(self.scope, node.value, role="formula")
            if found.is_numeric:
                return Numeric(found.name, node, (found.name,))
            if found.datatype is not Datatype.STRING:
                raise Invalid(
                    "not-numeric", f"Column {found.name!r} holds {found.datatype.value} values, no numbers"
                )
            return factor(self.scope, found.name, role="formula", reference=self.references.get(found.name))
        if node.kind == "call" and node.value in ("C", "factor"):
            return self.categorical(node)
        if node.kind == "call" and node.value in (*FUNCTIONS, "I") and len(node.parts) == 1:
            columns: dict[str, None] = {}
            self.check_arithmetic(node, columns)
            if not columns:
                raise Invalid("wrong-formula", f"{render(node)} reads no column")
            return Numeric(render(node), node, tuple(columns))
        raise Invalid("wrong-formula", f"{render(node)!r} cannot stand in {self.text.strip()!r}")

    def categorical(self, node: Node) -> Factor:
        """``C(x)``, ``C(x, reference="b")``, ``C(x, Treatment("b"))``."""
        if not node.parts or node.parts[0].kind != "name" or len(node.parts) > 2:
            raise Invalid("wrong-formula", 'Write a category as C(column) or C(column, reference="level")')
        name = node.parts[0].value
        reference = self.references.get(name)
        if len(node.parts) == 2:
            argument = node.parts[1]
            if argument.kind == "call" and argument.value == "Treatment" and len(argument.parts) == 1:
                argument = argument.parts[0]
            if argument.kind == "named" and argument.value in ("reference", "ref"):
                argument = argument.parts[0]
            if argument.kind not in ("text", "number"):
                raise Invalid("wrong-formula", 'Give the reference level as C(column, reference="level")')
            reference = argument.value if argument.kind == "text" else f"{argument.value:g}"
        return factor(self.scope, name, role="formula", reference=reference)

    def check_arithmetic(self, node: Node, columns: dict[str, None]) -> None:
        """Allow numbers, numeric columns, ``+ - * / ^``, and the listed functions; collect the columns."""
        if node.kind == "name":
            columns[numeric(self.scope, node.value, role="formula").name] = None
            return
        if node.kind == "call" and (node.value not in (*FUNCTIONS, "I") or len(node.parts) != 1):
            raise Invalid("wrong-formula", f"{render(node)!r} is no arithmetic")
        if node.kind in ("text", "named", ":"):
            raise Invalid("wrong-formula", f"{node.kind!r} cannot stand in arithmetic")
        for part in node.parts:
            self.check_arithmetic(part, columns)


def _union(left: Iterable[frozenset[str]], right: Iterable[frozenset[str]]) -> list[frozenset[str]]:
    return list(dict.fromkeys([*left, *right]))
