"""The plan of the house: who may import whom."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
LAYERS = ["models", "server", "app"]  # each may import itself and those to its left

MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_A_FUNCTION = 50

MLX = {"mlx", "mlx_lm", "transformers"}
QT = {"PySide6", "shiboken6"}
LLAMA = {"xllamacpp"}


def sources(folder: str) -> list[Path]:
    return sorted((REPOSITORY / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Everything in a file that imports something, or is a function."""
    kinds = ast.Import | ast.ImportFrom | ast.Call | ast.FunctionDef | ast.AsyncFunctionDef
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [each for each in ast.walk(tree) if isinstance(each, kinds)]


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports: at the top, inside a function, or by import_module."""
    for node in nodes(path):
        match node:
            case ast.Import(names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), level=0, names=names):
                # "from server.formats import ollama" names a module too.
                yield from (f"{module}.{name.name}" for name in names)
            case ast.Call(
                func=ast.Name("import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(str(module)), *_],
            ):
                yield module
            case ast.ImportFrom():
                pytest.fail(f"{path}: imports are absolute here")


def top(module: str) -> str:
    return module.partition(".")[0]


def importers(packages: set[str]) -> set[str]:
    return {
        module_name(path)
        for folder in LAYERS
        for path in sources(folder)
        if any(top(module) in packages for module in imports(path))
    }


def loaded_by(modules: list[str]) -> set[str]:
    """The top-level packages in a fresh interpreter that has imported these modules."""
    code = f"import sys, {', '.join(modules)}; print(*{{m.partition('.')[0] for m in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def test_models_and_server_load_no_qt():
    modules = [module_name(path) for folder in ("models", "server") for path in sources(folder)]

    assert not loaded_by(modules) & QT


def test_only_the_app_names_qt():
    assert all(top(module) == "app" for module in importers(QT))


def test_only_one_file_imports_mlx():
    assert importers(MLX) == {"models.engine.mlx_library"}


def test_only_the_child_process_imports_llama_cpp():
    assert importers(LLAMA) == {"models.engine.llama_worker"}


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_one_way(layer: str):
    above = set(LAYERS[LAYERS.index(layer) + 1 :])

    wrong = [
        (module_name(path), module)
        for path in sources(layer)
        for module in imports(path)
        if top(module) in above
    ]

    assert sources(layer)
    assert not wrong


def test_the_values_everyone_shares_import_only_each_other():
    shared = {"models.chat", "models.events", "models.errors"}

    for name in shared:
        path = REPOSITORY / (name.replace(".", "/") + ".py")
        ours = {module.rpartition(".")[0] for module in imports(path) if top(module) in LAYERS}
        assert ours <= shared


def family(module: str) -> str:
    """The name after ``server.formats``: of a file, or of a folder for all that is in it."""
    return ".".join(module.split(".")[:3])


def test_families_do_not_import_each_other():
    families = sources("server/formats")

    wrong = [
        (module_name(path), module)
        for path in families
        for module in imports(path)
        if module.startswith("server.formats.") and family(module) != family(module_name(path))
    ]

    assert families
    assert not wrong


def test_the_command_and_the_server_start_without_anything_slow():
    loaded = loaded_by(["app.cli", "app.commands.serve"])

    assert not loaded & (QT | MLX | LLAMA | {"numpy", "huggingface_hub", "tokenizers"})


@pytest.mark.parametrize("layer", LAYERS)
def test_no_file_is_longer_than_one_can_hold_in_mind(layer: str):
    lengths = {path: len(path.read_bytes().splitlines()) for path in sources(layer)}

    assert lengths
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES_OF_A_FILE} == {}


@pytest.mark.parametrize("layer", LAYERS)
def test_no_function_is_longer_than_a_screen(layer: str):
    lengths = {
        f"{module_name(path)}.{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in sources(layer)
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert lengths
    long = {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FUNCTION}
    assert long == {}
