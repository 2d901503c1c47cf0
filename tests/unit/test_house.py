"""The layout of the package, and the names in it."""

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "cisisk"
BANNED_MODULES = {"common", "helpers", "manager", "misc", "util", "utils"}


def modules() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}


def names_defined(tree: ast.Module) -> set[str]:
    """The public classes and type aliases of a module."""
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    aliases = {
        node.target.id
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and ast.unparse(node.annotation).endswith("TypeAlias")
    }
    return {name for name in classes | aliases if not name.startswith("_")}


def test_each_public_class_name_has_one_meaning() -> None:
    defined = defaultdict(list)
    for path, tree in modules().items():
        for name in names_defined(tree):
            defined[name].append(str(path.relative_to(PACKAGE)))
    assert len(defined) > 300
    assert {name: sorted(paths) for name, paths in defined.items() if len(paths) > 1} == {}


def test_module_names_are_specific() -> None:
    assert [path for path in modules() if path.stem in BANNED_MODULES] == []
