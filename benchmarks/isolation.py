"""Whether one bad request is felt by others: gaps in two streams while it comes.

    python -m benchmarks.isolation [--engine llama|mlx] [--model pocket|135m] [--only a,b]
                                   [--runs N] [--seconds N]

Two clients stream from one model. Meanwhile an offender comes, over the wire that refuses a
prompt that is too long and over the one that cuts it. The longest time without a piece in
either stream stands beside that of a quiet run of the same length, taken in turns. What an
offender that is lawfully answered costs from its start on is told apart, beside an ordinary
prompt of as many tokens: that is prefill. Server and clients have a process each.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from time import perf_counter

from benchmarks import offenders
from benchmarks.clients import (
    Answer,
    Reader,
    ask,
    left_unread,
    longest_gap,
    wait_for_pieces,
)
from benchmarks.isolation_models import make_models
from benchmarks.measure import Runs, Server, machine, print_table
from benchmarks.offenders import OFFENDERS, OLLAMA, Offender, Wire

QUIET_FACTOR, LEAST_LIMIT_MS = 3, 100.0
IN_TIME_SECONDS = 2.0  # for the offender's refusal, or its start
MOST_SECONDS = 20.0  # until an answer begins
READ_SECONDS = 40.0  # more, until it ends
WARM_PIECES = 5
LOAD_SECONDS = 120.0
MODELS = ("pocket", "135m")
ENGINES = {"llama": "llama.cpp", "mlx": "MLX"}
OTHER = {"llama": "mlx", "mlx": "llama"}
CONTEXT_TOKENS = 2048
# MLX on a CPU reads some 15 tokens a second of the large shape. A prompt that is cut to this
# length is felt for long enough.
SHORT_CONTEXT_TOKENS = 64
HEADER = (
    "model",
    "engine",
    "offender",
    "wire",
    "longest gap, ms",
    "quiet, ms",
    "at most",
    "gap",
    "once it is read, ms",
    "ordinary prompt, ms",
    "answer",
    "after, s",
    "in time",
)


@dataclass(frozen=True)
class Case:
    """What the two streams run on."""

    model: str
    engine: str

    @property
    def name(self) -> str:
        return f"{self.model}-{self.engine}"

    @property
    def context_tokens(self) -> int:
        slow = (self.model, self.engine) == ("135m", "mlx")
        return SHORT_CONTEXT_TOKENS if slow else CONTEXT_TOKENS


@dataclass(frozen=True)
class Watched:
    """What the streams went through while something happened."""

    gap_ms: float  # until the offender's start, where it had one; else until the end
    read_gap_ms: float | None  # from there on
    seconds: float
    broken: int  # streams that ended otherwise than they should
    answer: Answer | None = None

    @property
    def late(self) -> bool:
        return self.answer is not None and self.answer.status is None


class Stage:
    """A server, and two clients that stream from it."""

    def __init__(self, home: Path, case: Case) -> None:
        self.case = case
        self._home = home
        self.start()

    def start(self) -> None:
        self.server = Server(self._home)
        self.server.wait()
        asked = offenders.asked_for_a_stream(self.case.name)
        self._readers = [Reader(self.server.port, asked) for _ in range(2)]
        if not wait_for_pieces(self._readers, WARM_PIECES, LOAD_SECONDS):
            raise RuntimeError(f"{self.case.name} does not stream")

    def end(self) -> None:
        self.server.kill()
        for reader in self._readers:
            reader.stop()

    def start_anew(self) -> None:
        self.end()
        self.start()

    def watch(
        self, seconds: float, happens: Callable[[], Answer | None], *, until_start: bool = False
    ) -> Watched:
        """Let it happen, for so many seconds at least, and until both streams have gone on.

        With ``until_start`` what comes after the offender's start is told apart.
        """
        broken = sum(each.broken for each in self._readers)
        start = perf_counter()
        answer = happens()
        time.sleep(max(0.0, start + seconds - perf_counter()))
        waited = perf_counter() - start
        wait_for_pieces(self._readers, 1, max(seconds, MOST_SECONDS - waited))
        end = perf_counter()
        split = end
        if until_start and answer and answer.status == HTTPStatus.OK:
            split = start + answer.waited_seconds
        return Watched(
            gap_ms=self._gap_ms(start, split),
            read_gap_ms=self._gap_ms(split, end) if split < end else None,
            seconds=waited,
            broken=sum(each.broken for each in self._readers) - broken,
            answer=answer,
        )

    def _gap_ms(self, start: float, end: float) -> float:
        return 1000 * max(longest_gap(each.times, start, end) for each in self._readers)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what one bad request costs others.")
    parser.add_argument("--engine", choices=ENGINES, help="of the streams; both if left out")
    parser.add_argument("--model", choices=MODELS, help="of the streams; both if left out")
    parser.add_argument("--only", help="offenders by their letters, as a,c; all if left out")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="the shortest window")
    options = parser.parse_args()
    cases = [
        Case(model, engine)
        for model in MODELS
        for engine in ENGINES
        if options.model in (None, model) and options.engine in (None, engine)
    ]
    wanted = [each for each in OFFENDERS if not options.only or each.key in options.only.split(",")]
    print(f"{machine()}; median (lowest–highest) of {options.runs}\n")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        make_models(Path(folder), home, {each.model for each in cases})
        print_table(HEADER, rows(home, cases, wanted, options.runs, options.seconds))


def rows(
    home: Path, cases: Sequence[Case], wanted: Sequence[Offender], runs: int, seconds: float
) -> Iterator[Sequence[str]]:
    for case in cases:
        stage = Stage(home, case)
        try:
            for offender in wanted:
                if case.engine in offender.engines:
                    for wire in offender.wires:
                        yield row(stage, offender, wire, runs, seconds)
        finally:
            stage.end()


def row(stage: Stage, offender: Offender, wire: Wire, runs: int, seconds: float) -> Sequence[str]:
    offences: list[Watched] = []
    quiet: list[Watched] = []
    ordinary: list[Watched] = []
    for _ in range(runs):
        if offender.fresh:
            stage.start_anew()
        offence = offend(stage, offender, wire, seconds)
        offences.append(offence)
        if offence.late or stage.server.process.poll() is not None:
            stage.start_anew()
        # Where nobody answered the verdict is clear: no quiet run is as long.
        length = seconds if offence.late else offence.seconds
        quiet.append(stage.watch(length, lambda: None))
        if offender.is_read and offence.answer and offence.answer.prompt_tokens:
            ordinary.append(read_ordinary(stage, offence.answer.prompt_tokens, length))
    return [
        stage.case.model,
        ENGINES[stage.case.engine],
        offender.title,
        wire.name,
        *judged_gaps(offences, quiet, ordinary),
        *judged_answers([each.answer for each in offences if each.answer]),
    ]


def offend(stage: Stage, offender: Offender, wire: Wire, seconds: float) -> Watched:
    case, port = stage.case, stage.server.port
    model = offender.model.format(model=case.model, engine=case.engine, other=OTHER[case.engine])
    if offender.messages is None:
        asked = offenders.asked_for_a_stream(model)
        with left_unread(port, asked, offenders.FIRST_PIECE, MOST_SECONDS) as answer:
            return replace(stage.watch(seconds, lambda: None), answer=answer)
    asked = offenders.asked_for_one_token(wire, model, offender.messages(), case.context_tokens)
    with offender.around(stage.server, model):
        return stage.watch(
            seconds, lambda: ask(port, asked, MOST_SECONDS, READ_SECONDS), until_start=True
        )


def read_ordinary(stage: Stage, tokens: int, seconds: float) -> Watched:
    """Watch a prompt of as many tokens: how many words that is, two short ones tell."""

    def asked(count: int) -> bytes:
        messages = offenders.words(count)
        return offenders.asked_for_one_token(OLLAMA, stage.case.name, messages, CONTEXT_TOKENS)

    port, few, many = stage.server.port, 4, 16
    base, more = (
        ask(port, asked(count), MOST_SECONDS, READ_SECONDS).prompt_tokens for count in (few, many)
    )
    a_word = (more - base) / (many - few)
    request = asked(max(1, few + int((tokens - base) / a_word)))
    return stage.watch(
        seconds, lambda: ask(port, request, MOST_SECONDS, READ_SECONDS), until_start=True
    )


def judged_gaps(
    offences: Sequence[Watched], quiet: Sequence[Watched], ordinary: Sequence[Watched]
) -> list[str]:
    gap = Runs([each.gap_ms for each in offences])
    calm = Runs([each.gap_ms for each in quiet])
    limit = max(QUIET_FACTOR * calm.median, LEAST_LIMIT_MS)
    broken = sum(each.broken for each in offences)
    verdict = "ok" if gap.median <= limit else "TOO LONG"
    tokens = [each.answer.prompt_tokens for each in ordinary if each.answer]
    read = _text([each.read_gap_ms for each in ordinary])
    return [
        gap.text(digits=0),
        calm.text(digits=0),
        f"{limit:.0f}",
        f"{broken} STREAMS BROKEN" if broken else verdict,
        _text([each.read_gap_ms for each in offences]),
        f"{read} for {tokens[-1]} tokens" if tokens else "–",
    ]


def judged_answers(answers: Sequence[Answer]) -> list[str]:
    said = {str(each.status or "none") for each in answers}
    waited = Runs([each.waited_seconds for each in answers])
    text = f"> {MOST_SECONDS:.0f}" if waited.median >= MOST_SECONDS else waited.text()
    answered = all(each.status for each in answers)
    in_time = answered and waited.median <= IN_TIME_SECONDS
    return [", ".join(sorted(said)), text, "ok" if in_time else "LATE"]


def _text(values: Sequence[float | None]) -> str:
    known = [each for each in values if each is not None]
    return Runs(known).text(digits=0) if known else "–"


if __name__ == "__main__":
    main()
