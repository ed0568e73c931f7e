"""How the house stands: imports point one way, folders and functions are small, tensors are made on a named device."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from torch.utils._device import _device_constructors

import learned_affine

ROOT = Path(learned_affine.__file__).parent
ORDER = [  # a folder, or a file beside them, imports only from those before it; a folder from itself, too
    *("_checks", "_files", "_version", "colour", "losses", "config"),
    *("geometry", "tasks", "policy", "transforms", "diagnostics", "plots", "fitting", "weights"),
    *("augment", "pretrained", "kornia", "classifier", "averaging", "label_map", "__init__"),
]
FILES = sorted(ROOT.rglob("*.py"))
FOLDERS = sorted({path.parent for path in FILES} - {ROOT})
MOST_FILES, MOST_LINES_OF_A_FUNCTION = 14, 50


def module_of(path: Path) -> str:
    """``learned_affine/geometry/warp.py`` as ``learned_affine.geometry.warp``."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imports_of(source: str, modules: set[str] | dict = MODULES) -> set[str]:
    """The modules that a file imports anywhere: at its top, inside a function, or for type checking alone."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"line {node.lineno}: imports must be absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in modules else node.module)
    return found


GRAPH = {module: imports_of(path.read_text()) & set(MODULES) for module, path in MODULES.items()}


def part_of(module: str) -> str:
    """The folder of the package that a module is in, or the file beside them that it is."""
    _, part, *_ = [*module.split("."), "__init__"]
    return part


def test_no_modules_import_each_other_in_a_circle():
    assert len(MODULES) > 50
    TopologicalSorter(GRAPH).prepare()  # raises where there is one


def test_the_order_names_every_part_of_the_package():
    assert sorted(ORDER) == sorted({part_of(module) for module in MODULES})


@pytest.mark.parametrize("part", ORDER)
def test_a_part_imports_only_from_those_before_it(part):
    allowed = {*ORDER[: ORDER.index(part)], *([part] if ROOT / part in FOLDERS else [])}
    against = {
        (module, other)
        for module in MODULES
        if part_of(module) == part
        for other in GRAPH[module]
        if part_of(other) not in allowed
    }
    assert against == set()


def test_kornia_is_imported_in_two_files():
    used = {module: imports_of(path.read_text()) for module, path in MODULES.items()}
    found = {module: {name for name in names if name.split(".")[0] == "kornia"} for module, names in used.items()}
    assert {module: names for module, names in found.items() if names} == {
        "learned_affine.geometry.warp": {"kornia.geometry.transform"},
        "learned_affine.kornia": {"kornia.augmentation", "kornia.geometry.conversions"},  # whose own adapter it is
    }


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_says_in_a_sentence_what_it_is_and_has_few_files(folder):
    said = " ".join((ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or "").split())
    assert said[:1].isupper() and said.endswith(".") and ". " not in said
    assert len(list(folder.glob("*.py"))) <= MOST_FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_are_not_too_long(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= MOST_LINES_OF_A_FUNCTION, f"{node.name} has {lines} lines"


MAKERS = {f"torch.{maker.__name__}" for maker in _device_constructors()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_tensor_is_made_on_whatever_device_is_the_default(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in MAKERS:
            given = {word.arg for word in node.keywords}  # None is that of **arguments
            assert given & {"device", None}, f"line {node.lineno}: {ast.unparse(node)}"
