"""
Mutants: copies of a module with one small fault each.

The operators are those of cosmic-ray, so that nobody here chooses which faults are made, and one
more that it lacks: a statement that is left out. Not made is what no test should notice: a change
of an annotation, of a message, or of a tuned limit (`NAME = 20_000`) by one.
"""

import ast
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.boolean_replacer import AddNot
from cosmic_ray.operators.operator import Operator
from cosmic_ray.operators.provider import OperatorProvider
from parso.python.tree import Keyword

Position = tuple[int, int]
Span = tuple[Position, Position]

# Each comparison's negation and its boundary, and one replacement of each arithmetic operator: of
# the others, most are killed by whatever kills these, and `==` for `is` is often the same.
_COMPARISONS = (
    *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"),
    *("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt"),
)
_ARITHMETIC = (
    *("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul"),
    *("BitOr_BitAnd", "BitAnd_BitOr", "LShift_RShift", "RShift_LShift"),
)
_NAMES = (
    *(f"ReplaceComparisonOperator_{name}" for name in _COMPARISONS),
    *(f"ReplaceBinaryOperator_{name}" for name in _ARITHMETIC),
    *("ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_USub_UAdd", "AddNot"),
    *("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ExceptionReplacer"),
    *("NumberReplacer", "ZeroIterationForLoop"),
)


class RemoveStatement(Operator):  # type: ignore[misc]
    """Leaves out a call whose result is not used, or an assignment to an attribute or an item."""

    def mutation_positions(self, node: Any) -> Iterator[Span]:
        if node.type == "simple_stmt":
            first = node.children[0]
            target = first.children[0] if first.type == "expr_stmt" else first
            if target.type in ("atom_expr", "power"):
                yield first.start_pos, first.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        first = node.children[0]
        prefix = first.get_first_leaf().prefix
        node.children[0] = Keyword("pass", first.start_pos, prefix)
        return node

    @classmethod
    def examples(cls) -> Sequence[Any]:
        return ()


class NegateCondition(AddNot):  # type: ignore[misc]
    """Negates the whole of a condition: `not a and b` is another fault, `not a := b` none."""

    def mutate(self, node: Any, index: int) -> Any:
        place = 1 if isinstance(node, self.NODE_TYPES) else 2
        node.children[place] = get_ast(f" not ({node.children[place].get_code().strip()})")
        return node


_OPERATORS = {
    **{name: OperatorProvider()[name] for name in _NAMES},
    "AddNot": NegateCondition,
    "Remove": RemoveStatement,
}


@dataclass(frozen=True)
class Mutant:
    """
    A module with one change.

    Args:
        file: Of the package, such as `push/loop.py`.
        line: Where the change is.
        operator: The class of cosmic-ray that makes it, or `Remove`.
        occurrence: Which of the changes that this operator can make in the file, from 0.
    """

    file: str
    line: int
    operator: str
    occurrence: int

    def source(self, original: str) -> str:
        """The module's changed source."""
        changed = mutate_code(original, _OPERATORS[self.operator](), self.occurrence)
        if not isinstance(changed, str):
            raise ValueError(f"{self}: no such mutant")
        return changed

    def change(self, original: str) -> tuple[str, str]:
        """The lines that differ, stripped: as they were, and as they are."""
        differences = list(difflib.ndiff(original.splitlines(), self.source(original).splitlines()))
        old, new = (
            " ".join(" ".join(one[2:] for one in differences if one[0] == sign).split())
            for sign in "-+"
        )
        return old, new


@cache
def mutants(package: Path, file: str) -> Sequence[Mutant]:
    """All mutants of a file of the package, in the order of operators and lines."""
    source = (package / file).read_text(encoding="utf-8")
    left_out = list(_left_out(ast.parse(source)))
    found = list[Mutant]()
    nodes = list(ast_nodes(get_ast(source)))
    for name, kind in _OPERATORS.items():
        operator, occurrence = kind(), 0
        for node in nodes:
            is_star = node.type == "operator" and node.parent.type in ("parameters", "param")
            for begin, end in operator.mutation_positions(node):
                if not is_star and not any(
                    first <= begin and end <= last for first, last in left_out
                ):
                    found.append(Mutant(file, begin[0], name, occurrence))
                occurrence += 1
    return found


def _left_out(tree: ast.AST) -> Iterator[Span]:
    """Annotations, f-strings, and numbers that are given a name in capitals."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            yield _span(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            yield _span(node.returns)
        elif isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id.isupper()
            and isinstance(node.value, ast.Constant | ast.BinOp | ast.UnaryOp)
        ):
            yield _span(node)


def _span(node: Any) -> Span:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
