"""The grammar of formulas: R's operators and a few functions, read into a tree and never evaluated as code.

A small parser of our own stands here since formulaic, whose terms the tests compare with, takes over two
seconds of processor time to import.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from salerno.kernel.errors import Invalid, near

FUNCTIONS = ("log", "exp", "sqrt")
"""Functions of one number."""
BASES = ("ns", "bs", "poly")
"""Functions that give several columns."""
_CALLS = (
    *FUNCTIONS, *BASES, "I", "C", "factor", "Surv", "strata", "offset", "cluster", "Treatment", "c"
)  # fmt: skip
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)"
    r"|(?P<name>[^\W\d][\w.]*|\.[^\W\d][\w.]*)|`(?P<quoted>[^`]+)`|(?P<text>\"[^\"]*\"|'[^']*')"
    r"|(?P<sign>\*\*|[-+*/:^(),=~|]))"
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
    if node.kind == "named":
        return f"{node.value} = {render(node.parts[0])}"
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
            if self.take("|"):
                node = Node("|", parts=(node, self.sum()))
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


def parse(part: str, source: str) -> Node:
    """Read one side of a formula.

    Args:
        part: The side.
        source: The whole formula, for errors.

    Raises:
        Invalid: ``wrong-formula`` or ``unknown-function``.
    """
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
