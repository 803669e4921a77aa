"""How long until it answers, writes and shows, and how much memory it takes while idle.

    python -m benchmarks.startup [--runs N]

The window is opened on whatever screen there is, and offscreen where there is none.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from app.services import open_everything
from app.settings import Settings
from benchmarks.measure import (
    INGLE,
    JSON,
    REPOSITORY,
    Runs,
    Server,
    free_port,
    machine,
    print_table,
    serve,
)
from models.model import Kind

IDLE_SECONDS = 2.0  # until what starts late has started
SHOWN = re.compile(r"window visible after ([\d.]+) s")


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    name: str
    unit: str
    runs: Runs
    goal: float | None = None  # at most
    reference: str = ""

    def row(self) -> list[str]:
        goal = "–"
        if self.goal is not None:
            met = "met" if self.runs.median <= self.goal else "MISSED"
            goal = f"≤ {self.goal:g} {self.unit}: {met}"
        digits = 2 if self.unit == "s" else 0
        return [self.name, self.runs.text(f" {self.unit}", digits), goal, self.reference or "–"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure start-up and idle memory.")
    parser.add_argument("--runs", type=int, default=7)
    runs: int = parser.parse_args().runs
    print(f"{machine()}; median (lowest–highest) of {runs}\n")
    compile_first()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        figures = [*serving(home, runs), first_token(home, runs), *window(home, runs)]
    print_table(
        ["what", "ours", "goal", "reference"],
        [figure.row() for figure in figures],
    )


def compile_first() -> None:
    """Python keeps what it compiles, unless it is told not to: every start but one finds it."""
    compileall = [sys.executable, "-m", "compileall", "-q", "app", "server", "models"]
    subprocess.run(compileall, cwd=REPOSITORY, check=True)


def serving(home: Path, runs: int) -> list[Figure]:
    """The server takes turns with the imports that none on Quart could do without."""
    to_health: list[float] = []
    to_imports: list[float] = []
    memory_mb: list[float] = []
    for _ in range(runs):
        started = time.perf_counter()
        server = Server(home)
        try:
            server.wait()
            to_health.append(time.perf_counter() - started)
            time.sleep(IDLE_SECONDS)
            memory_mb.append(rss_mb(server.process))
        finally:
            server.stop()
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import quart, hypercorn.asyncio"], check=True)
        to_imports.append(time.perf_counter() - started)
    return [
        Figure("`ingle serve` until /health answers", "s", Runs(to_health), 0.4),
        Figure("imports of quart and hypercorn alone, start to end", "s", Runs(to_imports)),
        Figure("memory of the idle server", "MB", Runs(memory_mb), 70, "Ollama 41 MB"),
    ]


def first_token(home: Path, runs: int) -> Figure:
    """Each request loads the model anew, as the one before it has let it go."""
    with open_everything(home) as services:
        model = next(each for each in services.store.list() if each.kind is Kind.LLAMA)
    body: JSON = {
        "model": str(model.name),
        "messages": [{"role": "user", "content": "Hello"}],
        "options": {"num_predict": 1},
        "keep_alive": 0,
    }
    found: list[float] = []
    with serve(home) as server:
        for _ in range(runs):
            started = time.perf_counter()
            lines = server.stream("/api/chat", body)
            next(lines)
            found.append(time.perf_counter() - started)
            list(lines)
    name = f"tiny GGUF ({model.size_bytes / 1e6:.0f} MB), not loaded, until its first token"
    return Figure(name, "s", Runs(found), 0.4, "Ollama 0.27 s")


def window(home: Path, runs: int) -> list[Figure]:
    replace(Settings(), ports=(free_port(),)).save(home)
    environment = {**os.environ, "INGLENOOK_HOME": str(home), "INGLENOOK_TRACE": "1"}
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        environment.setdefault("QT_QPA_PLATFORM", "offscreen")
    to_shown: list[float] = []
    memory_mb: list[float] = []
    for _ in range(runs):
        program = subprocess.Popen(
            [*INGLE, "app"], cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True
        )
        try:
            to_shown.append(shown_after(program))
            time.sleep(IDLE_SECONDS)
            memory_mb.append(rss_mb(program))
        finally:
            program.terminate()
            program.communicate()
    screen = environment.get("QT_QPA_PLATFORM", "a real screen")
    return [
        Figure(f"window painted ({screen}), since the process began", "s", Runs(to_shown), 1.0),
        Figure("memory of the idle window, API on", "MB", Runs(memory_mb), 180),
    ]


def shown_after(program: "subprocess.Popen[str]") -> float:
    """What the window says itself, since only it knows when it was painted."""
    assert program.stderr, "made with PIPE"
    words: list[str] = []
    for line in program.stderr:
        if found := SHOWN.search(line):
            return float(found[1])
        words.append(line)
    raise RuntimeError(f"The window ended before it was shown:\n{''.join(words)}")


def rss_mb(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> float:
    return psutil.Process(process.pid).memory_info().rss / 1e6


if __name__ == "__main__":
    main()
