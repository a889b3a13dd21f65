"""Model formulas as R writes them, read into terms; nothing in a formula is ever evaluated as code.

The grammar is R's (``~ + - * / : ^ **``, parentheses, backticks), the functions are an allow-list:
``log``, ``exp``, ``sqrt``, ``I`` for arithmetic on numeric columns; ``ns``, ``bs`` and
``poly(…, raw = TRUE)`` for curves; ``C`` (or ``factor``) for categories with an optional reference level;
and, where the method has a use for them, ``offset``, ``cluster``, ``strata``, ``Surv`` and lme4's
``(1 + age | group)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from salerno.analysis.grammar import BASES, FUNCTIONS, Node, parse, render
from salerno.analysis.model import Scope
from salerno.analysis.questions import Factor, factor, numeric, variable
from salerno.analysis.terms import Basis, Numeric, read_basis
from salerno.catalogue.model import Datatype
from salerno.kernel.errors import Invalid

TermFactor = Numeric | Basis | Factor
Term = tuple[TermFactor, ...]


@dataclass(frozen=True)
class Random:
    """Effects that differ between groups at random, ``(1 + age | group)``.

    Args:
        intercept: Whether the intercept does.
        slopes: Numeric terms whose coefficients do.
        group: Column whose values are the groups.
    """

    intercept: bool
    slopes: tuple[Numeric, ...]
    group: str


@dataclass(frozen=True)
class Formula:
    """A model formula with its columns resolved.

    Args:
        response: Numeric response, a two-level factor, or None when there is no left side or it is ``Surv``.
        time, event: Columns of ``Surv(time, event)``, or empty.
        start: First column of ``Surv(start, stop, event)``, or empty.
        intercept: Whether the model has one.
        terms: Terms by rising order, without the intercept.
        strata: Columns named in ``strata(…)``.
        offsets: Terms with the coefficient 1.
        cluster: Column whose values are clusters of rows, or empty.
        random: Effects that differ between groups, or None.
    """

    text: str
    response: TermFactor | None
    intercept: bool
    terms: tuple[Term, ...]
    time: str = ""
    event: str = ""
    start: str = ""
    strata: tuple[str, ...] = ()
    offsets: tuple[Numeric, ...] = ()
    cluster: str = ""
    random: Random | None = None

    @property
    def numerics(self) -> tuple[Numeric, ...]:
        """Distinct numeric columns of the right side's terms, in order of appearance."""
        found = (part for term in self.terms for f in term for part in numerics_of(f))
        return tuple({f.text: f for f in found}.values())

    @property
    def bases(self) -> tuple[Basis, ...]:
        """Distinct bases of the right side, in order of appearance."""
        found = (f for term in self.terms for f in term if isinstance(f, Basis))
        return tuple({f.text: f for f in found}.values())

    def with_basis(self, basis: Basis) -> Formula:
        """The formula with a basis in the place of the one of the same text."""
        terms = (
            tuple(basis if isinstance(f, Basis) and f.text == basis.text else f for f in term)
            for term in self.terms
        )
        return replace(self, terms=tuple(terms))

    @property
    def factors(self) -> tuple[Factor, ...]:
        """Distinct categorical factors of the right side, in order of appearance."""
        found = (f for term in self.terms for f in term if isinstance(f, Factor))
        return tuple({f.column: f for f in found}.values())


def numerics_of(part: TermFactor) -> tuple[Numeric, ...]:
    """The numeric columns of a factor of a term; none of a categorical one."""
    if isinstance(part, Basis):
        return part.parts
    return (part,) if isinstance(part, Numeric) else ()


def parse_formula(
    text: Any,
    scope: Scope,
    references: Mapping[str, str] | None = None,
    *,
    special: Sequence[str] = (),
) -> Formula:
    """Read a formula against the dictionary.

    Args:
        text: The formula, e.g. ``status ~ age + C(site)``.
        scope: What the nodes agree on; its dictionary has the columns.
        references: Reference level by column, for factors that the formula gives none.
        special: What the method understands beside terms: ``strata``, ``offset``, ``cluster``, and ``|`` for
            random effects.

    Raises:
        Invalid: It is no formula, or names a column or function that does not exist (the nearest is told).
    """
    if not isinstance(text, str) or text.count("~") != 1:
        raise Invalid("wrong-formula", "'formula' must be a text with one '~', as in \"y ~ age + sex\"")
    left, right = text.split("~")
    reader = _Reader(text, scope, dict(references or {}), frozenset(special))
    response, time, event = reader.response(parse(left, text)) if left.strip() else (None, "", "")
    if not right.strip():
        raise Invalid("wrong-formula", f"The formula {text!r} has no right side")
    intercept, terms = reader.terms(parse(right, text))
    return Formula(
        text=text,
        response=response,
        time=time,
        event=event,
        start=reader.start,
        intercept=intercept,
        terms=terms,
        strata=tuple(reader.strata),
        offsets=tuple(reader.offsets),
        cluster=reader.cluster,
        random=reader.random,
    )


@dataclass
class _Reader:
    """Turns nodes into terms, with the dictionary at hand."""

    text: str
    scope: Scope
    references: dict[str, str]
    special: frozenset[str]
    order: dict[str, TermFactor] = field(default_factory=dict)
    strata: list[str] = field(default_factory=list)
    offsets: list[Numeric] = field(default_factory=list)
    cluster: str = ""
    start: str = ""
    random: Random | None = None

    def response(self, node: Node) -> tuple[TermFactor | None, str, str]:
        if node.kind == "call" and node.value == "Surv":
            if len(node.parts) not in (2, 3) or any(part.kind != "name" for part in node.parts):
                raise Invalid(
                    "wrong-formula",
                    "Write the survival response as Surv(time, event) or Surv(start, stop, event)",
                )
            *starts, time, event = (part.value for part in node.parts)
            self.start = numeric(self.scope, starts[0], role="start").name if starts else ""
            numeric(self.scope, time, role="time")
            variable(self.scope, event, role="event")
            return None, time, event
        response = self.factor(node)
        if isinstance(response, Basis):
            raise Invalid("wrong-formula", f"{response.text!r} cannot be the response")
        return response, "", ""

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
            elif sign == "+" and self.is_special(part):
                self.add_special(part)
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

    def is_special(self, node: Node) -> bool:
        """Whether a summand is none of the terms; refused where the method has no use for it."""
        kind = node.value if node.kind == "call" else node.parts[0].kind if node.kind == "paren" else ""
        if kind not in ("strata", "offset", "cluster", "|"):
            return False
        if kind not in self.special:
            shown = "(… | group)" if kind == "|" else f"{kind}(…)"
            remedy = "Ask the method 'lmm' for random effects." if kind == "|" else "Leave it out."
            raise Invalid("wrong-formula", f"A formula of this method has no {shown}", remedy=remedy)
        return True

    def add_special(self, node: Node) -> None:
        """Take what is none of the terms."""
        if node.kind == "paren":
            if self.random is not None:
                raise Invalid("wrong-formula", "A formula has random effects by one group only")
            self.random = self.random_effects(node.parts[0])
            return
        if node.value == "strata":
            if not node.parts or any(part.kind != "name" for part in node.parts):
                raise Invalid("wrong-formula", "strata(…) takes column names")
            self.strata += [factor(self.scope, p.value, role="strata").column for p in node.parts]
            return
        if len(node.parts) != 1:
            raise Invalid("wrong-formula", f"{render(node)!r} must have one argument")
        if node.value == "offset":
            self.offsets.append(self.number(node.parts[0]))
        elif node.parts[0].kind != "name" or self.cluster:
            raise Invalid("wrong-formula", "Write one cluster(column)")
        else:
            self.cluster = variable(self.scope, node.parts[0].value, role="cluster").name

    def random_effects(self, node: Node) -> Random:
        """``1 + age | group``."""
        left, group = node.parts
        if group.kind != "name":
            raise Invalid("wrong-formula", "Write random effects as (1 | column) or (1 + x | column)")
        intercept, terms = _Reader(self.text, self.scope, self.references, frozenset()).terms(left)
        slopes = []
        for term in terms:
            if len(term) != 1 or not isinstance(term[0], Numeric):
                raise Invalid("wrong-formula", "Random slopes are those of single numeric terms")
            slopes.append(term[0])
        return Random(intercept, tuple(slopes), variable(self.scope, group.value, role="group").name)

    def number(self, node: Node) -> Numeric:
        """A numeric factor."""
        read = self.factor(node)
        if not isinstance(read, Numeric):
            raise Invalid("wrong-formula", f"{render(node)!r} must be a number or arithmetic on numbers")
        return read

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
            name = f"C({read.column})" if isinstance(read, Factor) else read.text
            known = self.order.setdefault(name, read)
            if isinstance(known, Factor) and known != read:
                raise Invalid("wrong-formula", f"{name!r} is used with two different reference levels")
            return [frozenset({name})]
        if len(node.parts) == 1:
            raise Invalid("wrong-formula", f"A term of {self.text.strip()!r} has a sign before it")
        if node.kind == "|":
            raise Invalid("wrong-formula", "Random effects stand alone, as in + (1 | column)")
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
        if node.kind == "call" and node.value in BASES:
            return read_basis(node, self.number)
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
        if node.kind in ("text", "named", ":", "|"):
            raise Invalid("wrong-formula", f"{node.kind!r} cannot stand in arithmetic")
        for part in node.parts:
            self.check_arithmetic(part, columns)


def _union(left: Iterable[frozenset[str]], right: Iterable[frozenset[str]]) -> list[frozenset[str]]:
    return list(dict.fromkeys([*left, *right]))
