"""``ingle``: the models, the server and the window, from a terminal.

It says what went wrong in one sentence on stderr. It ends with 0 when all went well, 1 when
something failed, 2 when it was called wrongly, and 130 when it was interrupted.
INGLENOOK_DEBUG=1 shows where an error came from.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from app import words
from app.commands import INTERRUPTED, CommandFailed, terminal
from models.errors import ModelNotFound
from models.version import own_version

_FAILED, _PIPE_CLOSED = 1, 141


def main(arguments: Sequence[str] | None = None) -> int:
    debug = bool(os.environ.get("INGLENOOK_DEBUG"))
    terminal.set_up(debug=debug)
    parser = _parser()
    options = _parse(parser, arguments)
    if options.command is None:
        parser.print_help()
        return _FAILED
    try:
        code = _call(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has enough
        # Python flushes once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except Exception as error:
        if debug:
            raise
        print(f"ingle: {_sentence(error)}", file=sys.stderr)
        return _FAILED


def _call(options: argparse.Namespace) -> int:  # noqa: PLR0911 - one case a command
    # A command imports only what it needs: most of them answer before Qt would be loaded.
    match options.command:
        case "app":
            from app.main import main as open_window  # noqa: PLC0415

            return open_window()
        case "serve":
            from app.commands.serve import serve  # noqa: PLC0415

            return serve(options.host, options.port)
        case "run":
            return _run(options)
        case "pull":
            from app.commands.pull import pull  # noqa: PLC0415

            return pull(options.name)
        case "ps" | "stop":
            from app.commands import remote  # noqa: PLC0415

            if options.command == "ps":
                return remote.ps(options.host, options.port)
            return remote.stop(options.name, options.host, options.port)
        case "settings":
            return _call_settings(options)
        case "key":
            return _call_key(options)
        case "set":
            from app.commands import profile  # noqa: PLC0415

            return profile.change(options.name, options.assignments)
        case "cache":
            from app.commands import cache  # noqa: PLC0415

            return cache.clear(options.model) if options.action else cache.show()
        case "doctor":
            from app.commands.doctor import doctor  # noqa: PLC0415

            return doctor()
        case _:
            return _call_library(options)


def _call_library(options: argparse.Namespace) -> int:
    from app.commands import library  # noqa: PLC0415

    match options.command:
        case "list":
            return library.list_all()
        case "show":
            return library.show(options.name, as_modelfile=options.modelfile)
        case "create":
            from app.commands.create import create  # noqa: PLC0415

            return create(options.name, options.file, options.quantize or "")
        case "import":
            return library.import_path(options.path, options.name, copy=options.copy)
        case "cp":
            return library.copy(options.source, options.destination)
        case "rm":
            return library.remove(options.names, options.host, options.port)
        case _:
            raise AssertionError(options.command)


def _call_key(options: argparse.Namespace) -> int:
    from app.commands import key  # noqa: PLC0415

    match options.action:
        case "add":
            return key.add(terminal.argument(options.name))
        case "rm":
            return key.remove(terminal.argument(options.name))
        case _:
            return key.list_all()


def _call_settings(options: argparse.Namespace) -> int:
    from app.commands import settings  # noqa: PLC0415

    if options.key is None:
        return settings.show_all()
    if options.value is None:
        return settings.show(options.key)
    return settings.change(options.key, options.value)


def _run(options: argparse.Namespace) -> int:
    from app.commands.run import Question, run  # noqa: PLC0415
    from models.chat import SamplingParams  # noqa: PLC0415

    question = Question(
        model=options.name,
        system=terminal.argument(options.system) if options.system else None,
        sampling=SamplingParams(temperature=options.temperature, seed=options.seed),
        max_tokens=options.max_tokens,
    )
    return run(question, terminal.argument(" ".join(options.prompt)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ingle", description="Language models on your own computer."
    )
    parser.add_argument("--version", action="version", version=f"ingle {own_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    commands.add_parser("app", help="open the window")
    serve = commands.add_parser("serve", help="answer API requests, without a window")
    serve.add_argument("--host", help="the address to listen on (127.0.0.1)")
    serve.add_argument(
        "--port", type=_port, action="append", help="a port to listen on (11434); may be repeated"
    )
    _add_run(commands.add_parser("run", help="ask a model, once or in a conversation"))
    pull = commands.add_parser("pull", help="download a model from the hub")
    pull.add_argument("name", metavar="NAME", help="as org/model, or org/model:Q8_0")

    commands.add_parser("list", help="list the models on this computer")
    _add_show(commands.add_parser("show", help="tell what is known of a model"))
    _add_create(commands.add_parser("create", help="make a model of another, by a Modelfile"))
    _add_set(commands.add_parser("set", help="say how a model is used here"))
    imported = commands.add_parser("import", help="add a GGUF file or an MLX folder")
    imported.add_argument("path", metavar="PATH", type=Path)
    imported.add_argument("--name", required=True, help="what to call the model")
    imported.add_argument(
        "--copy", action="store_true", help="copy the files, instead of using them where they are"
    )
    copy = commands.add_parser("cp", help="give a model a second name")
    copy.add_argument("source", metavar="SOURCE")
    copy.add_argument("destination", metavar="DESTINATION")
    remove = commands.add_parser("rm", help="forget models, and delete what was downloaded")
    remove.add_argument("names", metavar="NAME", nargs="+")

    ps = commands.add_parser("ps", help="list what a running server has in memory")
    stop = commands.add_parser("stop", help="free the memory of a model in a running server")
    stop.add_argument("name", metavar="NAME")
    for each in (ps, stop, remove):
        each.add_argument("--host", help="the computer that the server is on (this one)")
        each.add_argument("--port", type=_port, help="where the server listens (11434)")
    settings = commands.add_parser("settings", help="show what is set, or set it")
    settings.add_argument("key", metavar="KEY", nargs="?")
    settings.add_argument("value", metavar="VALUE", nargs="?")
    _add_key(commands.add_parser("key", help="make an API key, list or remove them"))
    cache = commands.add_parser("cache", help="show what is remembered of prompts, or clear it")
    cache.add_argument("action", metavar="clear", nargs="?", choices=["clear"])
    cache.add_argument("model", metavar="MODEL", nargs="?", help="of this model alone")
    commands.add_parser("doctor", help="look for what may keep models from running")
    return parser


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("name", metavar="MODEL")
    run.add_argument(
        "prompt", metavar="PROMPT", nargs="*", help="what to ask; what is piped in follows it"
    )
    run.add_argument("--system", help="how the model is to behave")
    run.add_argument("--temperature", type=float, help="0 is the likeliest answer each time")
    run.add_argument("--seed", type=int, help="the same seed draws the same answer")
    run.add_argument("--max-tokens", type=_positive, help="the longest answer")


def _add_show(show: argparse.ArgumentParser) -> None:
    show.add_argument("name", metavar="NAME")
    show.add_argument(
        "--modelfile", action="store_true", help="as a Modelfile that makes the same again"
    )


def _add_create(create: argparse.ArgumentParser) -> None:
    create.add_argument("name", metavar="NAME")
    create.add_argument(
        "-f", "--file", type=Path, default=Path("Modelfile"), help="the Modelfile (./Modelfile)"
    )
    create.add_argument("-q", "--quantize", metavar="KIND", help="as q8_0 or q4_K_M, of F16 or F32")


def _add_key(key: argparse.ArgumentParser) -> None:
    actions = key.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="make one, and show it this once")
    actions.add_parser("list", help="list them by their names")
    remove = actions.add_parser("rm", help="have one refused from now on")
    for each in (add, remove):
        each.add_argument("name", metavar="NAME", help="whose key it is, such as 'laptop'")


def _add_set(change: argparse.ArgumentParser) -> None:
    change.add_argument("name", metavar="NAME")
    change.add_argument(
        "assignments",
        metavar="KEY=VALUE",
        nargs="+",
        help="as in context_length=8192 or temperature=0.5; without a value: as the model has it",
    )


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse, and take ``run MODEL --seed 1 PROMPT`` too, which argparse alone does not."""
    options, rest = parser.parse_known_args(arguments)
    if rest and (options.command != "run" or any(each.startswith("-") for each in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.prompt += rest
    return options


def _port(raw: str) -> int:
    port = int(raw)
    if not 0 <= port < 1 << 16:
        raise ValueError(raw)
    return port


def _positive(raw: str) -> int:
    number = int(raw)
    if number <= 0:
        raise ValueError(raw)
    return number


def _sentence(error: Exception) -> str:
    match error:
        case ModelNotFound():
            return f"{error} 'ingle list' shows what is; 'ingle pull' downloads more."
        case CommandFailed():
            return str(error)
        case _:
            bug = f"{type(error).__name__}: {error} (INGLENOOK_DEBUG=1 shows where)"
            return words.sentence(error) or bug


if __name__ == "__main__":
    sys.exit(main())
