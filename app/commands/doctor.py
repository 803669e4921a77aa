"""``ingle doctor``: looks at what usually goes wrong, and says what to do about it."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from app import words
from app.commands.library import open_store
from app.commands.remote import answers, fetch, server_urls
from app.services import worker_command
from app.settings import Settings
from models import paths
from models.engine.installed import has_mlx
from server.ports import CannotListen, PortInUse, listen

_GB = 10**9
_ENGINE_SECONDS = 60  # a first import from a slow disk may take long
_ASK_SECONDS = 2.0


class Mark(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    mark: Mark
    subject: str
    sentence: str  # for WARN and FAIL with what to do about it


def doctor() -> int:
    failed = False
    for check in CHECKS:
        for finding in check():
            print(f"{finding.mark:<5} {finding.subject:<11} {finding.sentence}", flush=True)
            failed |= finding.mark is Mark.FAIL
    return 1 if failed else 0


def _python() -> Iterator[Finding]:
    sentence = f"Python {platform.python_version()} on {platform.platform()}."
    yield Finding(Mark.OK, "python", sentence)


def _processor() -> Iterator[Finding]:
    """The llama.cpp wheels for Linux and Windows are built for AVX2, with no way around."""
    cpuinfo = Path("/proc/cpuinfo")
    if platform.machine() not in ("x86_64", "AMD64") or not cpuinfo.exists():
        yield Finding(Mark.OK, "processor", f"{platform.machine()}: no special needs.")
        return
    flags = set(cpuinfo.read_text(encoding="utf-8").split())
    missing = [flag.upper() for flag in ("avx2", "fma") if flag not in flags]
    if missing:
        sentence = (
            f"It lacks {' and '.join(missing)}, so llama.cpp cannot run: "
            "use a computer from 2015 or later, or switch it on in the virtual machine."
        )
        yield Finding(Mark.FAIL, "processor", sentence)
    else:
        yield Finding(Mark.OK, "processor", "It has AVX2 and FMA.")


def _llama() -> Iterator[Finding]:
    problem = _import_problem("import xllamacpp")
    if problem is None:
        yield Finding(Mark.OK, "llama.cpp", "It can be started: GGUF models run.")
        return
    advice = "install Inglenook again."
    if "libgomp" in problem:
        advice = "install the system package libgomp1 (libgomp in some distributions)."
    yield Finding(Mark.FAIL, "llama.cpp", f"It cannot be started ({problem}): {advice}")


def _mlx() -> Iterator[Finding]:
    apple = sys.platform == "darwin" and platform.machine() == "arm64"
    if not has_mlx():
        if apple:
            yield Finding(Mark.FAIL, "MLX", "It is not installed: install Inglenook again.")
        else:
            sentence = "It is not installed: MLX models do not run, GGUF models do."
            yield Finding(Mark.OK, "MLX", sentence)
        return
    problem = _import_problem("import mlx.core")
    if problem is None:
        yield Finding(Mark.OK, "MLX", "It can be started: MLX models run.")
    else:
        mark = Mark.FAIL if apple else Mark.WARN
        sentence = f"It cannot be started ({problem}): install Inglenook again."
        yield Finding(mark, "MLX", sentence)


def _memory() -> Iterator[Finding]:
    memory = psutil.virtual_memory()
    sentence = f"{words.size(memory.available)} of {words.size(memory.total)} are free."
    if memory.available < 2 * _GB:
        sentence += " Close other programs before you load a model."
        yield Finding(Mark.WARN, "memory", sentence)
    else:
        yield Finding(Mark.OK, "memory", sentence)


def _ports() -> Iterator[Finding]:
    settings = Settings.load(paths.home())
    for port in settings.ports:
        try:
            for each in listen(settings.host, [port]):
                each.close()
            yield Finding(Mark.OK, "port", f"{port} is free for the API.")
        except PortInUse:
            yield _who_has(port)
        except CannotListen as error:
            yield Finding(Mark.FAIL, "port", str(error))


def _who_has(port: int) -> Finding:
    advice = "Stop it, or choose another port with 'ingle serve --port'."
    (url,) = server_urls(None, port)
    if answers(url):
        return Finding(Mark.OK, "port", f"{port} is Inglenook's: the API is running.")
    try:
        fetch(f"{url}/api/version", seconds=_ASK_SECONDS)
    except Exception:  # whatever it says, it is not what we know
        return Finding(Mark.WARN, "port", f"{port} is in use by another program. {advice}")
    return Finding(Mark.WARN, "port", f"{port} is in use by Ollama. {advice}")


def _models() -> Iterator[Finding]:
    home = paths.home()
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(existing, os.W_OK):
        sentence = f"{existing} cannot be written: change its permissions, or set INGLENOOK_HOME."
        yield Finding(Mark.FAIL, "models", sentence)
        return
    models = open_store().list()
    yield Finding(Mark.OK, "models", f"{len(models)} in {home}.")
    for model in models:
        if not model.path.exists():
            sentence = (
                f"The files of {model.name} are gone: put {model.path} back, "
                f"or forget it with 'ingle rm {model.name}'."
            )
            yield Finding(Mark.WARN, "models", sentence)


def _disk() -> Iterator[Finding]:
    home = paths.home()
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    sentence = f"{words.size(free)} are free for models."
    if free < 5 * _GB:
        sentence += " Remove a model with 'ingle rm', or set INGLENOOK_HOME to a larger disk."
        yield Finding(Mark.WARN, "disk", sentence)
    else:
        yield Finding(Mark.OK, "disk", sentence)


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python,
    _processor,
    _llama,
    _mlx,
    _memory,
    _ports,
    _models,
    _disk,
)


def _import_problem(code: str) -> str | None:
    """Run an import in a process of its own, which it may take down; None when it is fine."""
    try:
        done = subprocess.run(
            [*worker_command(), "-c", code],
            capture_output=True,
            text=True,
            timeout=_ENGINE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"it ended with signal {-done.returncode}"
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1]
