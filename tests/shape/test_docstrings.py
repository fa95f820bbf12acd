"""Words of the code: docstrings that stand alone, class names that mean one thing, plain words."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.shape.tree import ROOT, modules, project_files

SOURCES = ("covetbackup/", "backups/", "restores/")

SINGLE_FILE = "covetbackup/core/covet_open.py"
"""A program of its own, at most 400 lines that are read whole: its helpers need no docstrings."""

FRAGMENT = re.compile(
    r"(And|As|At|But|By|For|From|How|In|None|Of|On|Raises|Returns|That|The same|Those|To|Told|What"
    r"|When|Where|Which|With)\b"
)
"""Beginnings of a first line that needs the signature, or the line above it, to be understood."""

NO_IMPERATIVE = re.compile(r"(A|All|An|Both|Each|Every|It|Not|One|Only|The|Whether)\b")
"""Beginnings of a function's first line that says what there is and not what it does."""

FORBIDDEN = re.compile(r"\b(whoever|somebody|anybody|someone|himself|one who)\b", re.IGNORECASE)

MENTIONS_FORBIDDEN = {"covetbackup/core/capitals.py"}
"""Files with a list of words, not sentences."""

INHERITED_CONTRACTS = frozenset(
    "add_arguments check clean confirm_login_allowed deconstruct form_valid from_db_value handle"
    " has_add_permission has_change_permission has_delete_permission has_view_permission process"
    " get_absolute_url get_context get_default_backend_name get_form get_prep_value get_queryset"
    " get_readonly_fields get_search_results get_user has_changed label_from_instance lookups"
    " queryset ready render resolve_redirects run save save_model to_python validate"
    " view_on_site write value_from_datadict".split()
)
"""Methods that override documented ones of Django and other libraries."""

NAMED_BY_FRAMEWORK = re.compile(r"Command|\w+(Admin|Config|Inline)|(\w+\.)?clean_\w+")
"""Classes and methods that a framework finds by name: the name and the module say it all."""


@dataclass(frozen=True, slots=True)
class Documented:
    """Something public that needs a docstring; `kind` is module, class, function or method."""

    where: str
    name: str
    kind: str
    docstring: str | None
    is_property: bool = False


def test_no_two_public_classes_have_one_name() -> None:
    assert _classes_given_twice() == set()


def test_every_public_thing_has_a_docstring() -> None:
    contracts = INHERITED_CONTRACTS | {
        each.name.rpartition(".")[2] for each in _public() if each.docstring
    }
    missing = {
        f"{each.where}: {each.name}"
        for each in _checked()
        if not each.docstring
        and not NAMED_BY_FRAMEWORK.fullmatch(each.name)
        and not (each.kind == "method" and each.name.rpartition(".")[2] in contracts)
    }
    assert missing == set()


def test_the_first_line_of_a_docstring_stands_alone() -> None:
    faulty = {
        f"{each.where}: {each.name}: {first}"
        for each in _checked()
        if each.docstring and not _stands_alone(first := each.docstring.splitlines()[0], each)
    }
    assert faulty == set()


def test_code_and_pages_say_nothing_about_a_somebody() -> None:
    found = {
        f"{name}: {word[0]}"
        for name in project_files()
        if name.startswith((*SOURCES, "templates/", "docs/"))
        and name.endswith((".py", ".html", ".md", ".txt"))
        and "/migrations/" not in name
        and name not in MENTIONS_FORBIDDEN
        for word in FORBIDDEN.finditer((ROOT / name).read_text())
    }
    assert found == set()


def _stands_alone(first: str, documented: Documented) -> bool:
    if not first.endswith(".") or not first[0].isupper() or FRAGMENT.match(first):
        return False
    is_function = documented.kind in ("function", "method") and not documented.is_property
    return not (is_function and NO_IMPERATIVE.match(first))


def _classes_given_twice() -> set[str]:
    names = Counter(
        node.name
        for path, tree in modules(*SOURCES)
        if path != SINGLE_FILE and "/management/commands/" not in path
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    return {name for name, count in names.items() if count > 1}


def _checked() -> Iterator[Documented]:
    for each in _public():
        is_helper = each.where == SINGLE_FILE and each.kind != "module"
        if not is_helper:
            yield each


def _public() -> Iterator[Documented]:
    for path, tree in modules(*SOURCES):
        if tree.body:
            yield Documented(path, "module", "module", ast.get_docstring(tree))
        yield from _in_body(path, "", tree.body)


def _in_body(path: str, prefix: str, body: list[ast.stmt]) -> Iterator[Documented]:
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        decorators = [ast.unparse(each) for each in node.decorator_list]
        repeats = any(each == "overload" or each.endswith(".setter") for each in decorators)
        if node.name.startswith("_") or node.name in ("Meta", "Media") or repeats:
            continue
        name, docstring = f"{prefix}{node.name}", ast.get_docstring(node)
        if isinstance(node, ast.ClassDef):
            yield Documented(path, name, "class", docstring)
            yield from _in_body(path, f"{name}.", node.body)
        else:
            is_property = any("property" in each for each in decorators)
            yield Documented(path, name, "method" if prefix else "function", docstring, is_property)
