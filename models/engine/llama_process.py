"""The child process of one llama.cpp model: start, watch, end, and say why it failed."""

import json
import os
import platform
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import psutil

from models.engine.llama_pulse import Pulse
from models.errors import InferenceError, LoadFailed, ModelCrashed, OutOfMemory
from models.worker import PYTHON, Command

_WORKER = Path(__file__).with_name("llama_worker.py")
_END_SECONDS = 2.0  # for the child to go by itself, before it is killed
_KEPT_LINES = 60  # of its stderr

# What llama.cpp says on stderr, and what a person can do about it. The first that fits.
_REASONS: tuple[tuple[str, type[InferenceError], str], ...] = (
    (
        r"lora adapter: .*(wrong base model|mismatch|does not exist)",
        LoadFailed,
        "its adapter was made for another model",
    ),
    (
        r"failed to load lora adapter '(?:[^']*/)?([^'/]*)'",
        LoadFailed,
        "its adapter {0} is damaged",
    ),
    (
        r"failed to load multimodal model|mismatch between text model .* and mmproj",
        LoadFailed,
        "its projector is damaged, or was made for another model",
    ),
    (r"No such file or directory", LoadFailed, "its file is gone; download or import it again"),
    (r"Permission denied", LoadFailed, "its file may not be read; check its permissions"),
    (r"invalid magic", LoadFailed, "its file is not a GGUF file"),
    (
        r"not within the file bounds|corrupted or incomplete|unexpectedly reached end of file"
        r"|failed to read tensor|failed to read key|tensor.*out of bounds",
        LoadFailed,
        "its file is damaged or incomplete; download it again",
    ),
    (
        r"unknown model architecture: '([^']*)'",
        LoadFailed,
        "its architecture {0} is not known to this version of llama.cpp",
    ),
    (r"missing tensor '([^']*)'", LoadFailed, "its file lacks the tensor {0}"),
    (r"key not found in model: (\S+)", LoadFailed, "its file lacks the entry {0}"),
    (
        r"cache type (\S+) with block size \d+ does not divide",
        LoadFailed,
        "its heads do not fit a KV cache of type {0}; set its kv_type to f16",
    ),
    (
        r"failed to allocate|unable to allocate|bad_alloc|out of memory|Cannot allocate",
        OutOfMemory,
        "it does not fit into memory; close other programs or choose a smaller model",
    ),
    (
        r"libgomp|cannot open shared object file|No module named",
        LoadFailed,
        "llama.cpp cannot be started here: {line}",
    ),
)


class LlamaProcess:
    """One child, from its start to its end.

    ``on_change`` is called, on a thread of ours, when it is ready and when it has died.
    """

    def __init__(
        self,
        config: dict[str, Any],
        *,
        model_name: str,
        on_change: Callable[[], None],
        command: Command = PYTHON,
    ) -> None:
        self.key = secrets.token_urlsafe(32)
        # Stands for a picture in a prompt: nobody can guess it, and have one seen that is none.
        self.media_marker = f"<picture {secrets.token_hex(16)}>"
        self.port = 0
        self.dead = False
        self._model_name = model_name
        self._on_change = on_change
        self._answer: dict[str, Any] | None = None
        self._closing = False
        self._last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._child = subprocess.Popen(
            [*command, str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(self.media_marker),
            start_new_session=True,  # a Ctrl-C in the terminal is meant for us alone
        )
        self.pulse = Pulse(self._child.pid)
        self._threads = [
            threading.Thread(target=target, name=f"llama-{name}-{self._child.pid}", daemon=True)
            for name, target in (("watch", self._watch), ("stderr", self._keep_last_lines))
        ]
        for thread in self._threads:
            thread.start()
        usual = {"threads": decode_threads(), "chunk_tokens": prefill_chunk_tokens()}
        self._configure({**usual, **config, "key": self.key})

    @property
    def pid(self) -> int:
        return self._child.pid

    def ready(self) -> bool:
        """Return whether the model has loaded. Raises LoadFailed, OutOfMemory, ModelCrashed."""
        if self._answer and "port" in self._answer:
            if self._child.poll() is not None or self._is_stopped():
                raise self.end_and_explain()
            self.port = self._answer["port"]
            return True
        if self._answer or self.dead:
            raise self._load_failure()
        if self.pulse.is_idle():
            self._child.kill()
            raise LoadFailed(
                f"Model '{self._model_name}' cannot be loaded: it came to a stop while it was "
                "read; please try again."
            )
        return False

    def end_and_explain(self) -> ModelCrashed:
        """Return the error for a caller whose connection broke, or who waited in vain.

        It waits up to two seconds for the child to die by itself, and then kills it.
        """
        try:
            self._child.wait(0 if self._is_stopped() else _END_SECONDS)
        except subprocess.TimeoutExpired:  # stuck: a fresh one is the only cure
            self._child.kill()
            self._child.wait()
            return ModelCrashed(
                f"Model '{self._model_name}' stopped answering and was ended: "
                "the next request loads it again."
            )
        return ModelCrashed(
            f"Model '{self._model_name}' has crashed ({_how_it_died(self._child.returncode)}): "
            "the next request loads it again."
        )

    def close(self) -> None:
        """End the child and wait until it is gone. Harmless when it is."""
        self._closing = True
        try:
            if self._child.stdin:
                self._child.stdin.close()
        except OSError:
            pass  # it died with our line unread
        try:
            self._child.wait(0 if self._is_stopped() else _END_SECONDS)
        except subprocess.TimeoutExpired:  # it is loading, and does not look at its stdin
            self._child.kill()
            self._child.wait()
        for thread in self._threads:
            thread.join()

    def _is_stopped(self) -> bool:
        """Whether somebody has suspended it (SIGSTOP): it would answer nobody, ever."""
        try:
            return psutil.Process(self._child.pid).status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return False

    def _configure(self, config: dict[str, Any]) -> None:
        try:
            stdin = _pipe(self._child.stdin)
            stdin.write(json.dumps(config).encode() + b"\n")
            stdin.flush()
        except OSError:
            pass  # it is dead already: ``ready`` tells

    def _watch(self) -> None:
        try:
            stdout = _pipe(self._child.stdout)
            line = stdout.readline()
            if line:
                self._answer = _read_answer(line)
                self._on_change()
            stdout.read()  # until it dies
            stdout.close()
            self._child.wait()
        finally:
            self.dead = True
            if not self._closing:
                self._on_change()

    def _keep_last_lines(self) -> None:
        stderr = _pipe(self._child.stderr)
        for line in stderr:
            self._last_lines.append(line.decode(errors="replace").rstrip())
        stderr.close()

    def _load_failure(self) -> InferenceError:
        self._threads[1].join(_END_SECONDS)  # its last words may be on their way
        if self._child.poll() not in (None, 0):
            manner = _how_it_died(self._child.returncode)
            return LoadFailed(f"Model '{self._model_name}' cannot be loaded: {manner}.")
        lines = [*self._last_lines, str((self._answer or {}).get("error", ""))]
        for pattern, kind, words in _REASONS:
            for line in lines:
                if found := re.search(pattern, line):
                    why = words.format(*found.groups(), line=line)
                    return kind(f"Model '{self._model_name}' cannot be loaded: {why}.")
        told = next((line for line in lines if " E " in line), lines[-1])
        return LoadFailed(f"Model '{self._model_name}' cannot be loaded: {told}.")


def _read_answer(line: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        return {"error": f"its process said {line[:200]!r}"}


def decode_threads() -> int:
    """Physical cores less one, which is left to the window, the server and the system.

    With every core taken, any other busy process makes the threads wait for each other.
    """
    return max(1, (psutil.cpu_count(logical=False) or 2) - 1)


def prefill_chunk_tokens() -> int:
    """The fewest with nine tenths of the best speed (docs/decisions/llama-child.md).

    By the device alone, so that a prompt is cut in the same places every day.
    """
    on_gpu = sys.platform == "darwin" and platform.machine() == "arm64"
    return 512 if on_gpu else 128


def _environment(media_marker: str) -> dict[str, str]:
    # The server of llama.cpp reads settings from LLAMA_ARG_*: the user's are not meant for us.
    ours = {key: value for key, value in os.environ.items() if not key.startswith("LLAMA_")}
    # After an abort ggml would run a debugger, and die seconds later.
    ours["GGML_NO_BACKTRACE"] = "1"
    # What it does not know for a picture it would hand to an ffprobe that it finds there.
    ours["PATH"] = ""
    # Of each thread glibc would keep what it has freed: some 160 MiB after 2,000 pictures.
    ours.setdefault("MALLOC_ARENA_MAX", "2")
    return ours | {"LLAMA_MEDIA_MARKER": media_marker}


def _how_it_died(returncode: int | None) -> str:
    """How a process died, in words."""
    if returncode is None or returncode >= 0:
        return f"it ended with status {returncode}"
    if returncode == -signal.SIGILL:
        return "this computer's processor lacks an instruction that llama.cpp needs, such as AVX2"
    if returncode == -signal.SIGKILL:
        return "it was killed, perhaps because memory ran out"
    return f"it was ended by {signal.Signals(-returncode).name}"


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "made with PIPE"
    return pipe
