"""Docstrings begin with a verb, and their examples run."""

from __future__ import annotations

import ast
import doctest
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOTS = [Path(import_module(name).__path__[0]) for name in ("qpi_kernels", "napari_qpi")]

# First words that are no imperative verb.
NOT_VERBS = set(
    """
    A All An As At By Correlation Each Energy Every First For From H How If In It Its Kernel
    Kernels Largest Latent Matrix Mean No Noise Not Number Of On One Only Same See Share Size
    So Some Such T That The Their These Those To What When Where Whether Which While With
    """.split()  # noqa: SIM905
)
# A function of more lines needs a docstring, whoever calls it.
SHORT = 6
WITHOUT = ("property", "overload", "validator", "setter")


def complaints(source: str) -> Iterator[str]:
    """Describe every function of a source text that lacks a docstring which begins with a verb."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("__"):
            continue
        if any(word in ast.unparse(one) for one in node.decorator_list for word in WITHOUT):
            continue
        text = ast.get_docstring(node)
        if text is None:
            if node.end_lineno - node.lineno > SHORT:
                yield f"{node.lineno} {node.name}: no docstring"
        elif (first := text.split()[0].strip("`.,")) in NOT_VERBS or first.endswith("ing"):
            yield f"{node.lineno} {node.name}: {text.splitlines()[0]}"


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    found = [
        f"{path}:{complaint}"
        for root in ROOTS
        for path in sorted(root.rglob("*.py"))
        for complaint in complaints(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """What a function gives."""\n',
        'def f():\n    """Computing things."""\n',
        "def f():\n" + "    x = 1\n" * 8,
    ],
)
def test_a_docstring_without_a_verb_is_noticed(source: str) -> None:
    assert list(complaints(source))
    assert not list(complaints('def f():\n    """Return one."""\n' + "    x = 1\n" * 8))


EXAMPLES = [
    path.relative_to(ROOTS[0].parent).with_suffix("")
    for path in sorted(ROOTS[0].rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_examples_in_docstrings_run(path: Path) -> None:
    module = import_module(".".join(path.parts))
    done = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert done.attempted > 0
    assert done.failed == 0
