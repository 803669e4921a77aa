"""``ingle``: the models, the server and the window, from a terminal.

It says what went wrong in one sentence on stderr. It ends with 0 when all went well, 1 when
something failed, 2 when it was called wrongly, and 130 when it was interrupted.
INGLENOOK_DEBUG=1 shows where an error came from.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from app import arguments, words
from app.commands import INTERRUPTED, CommandFailed, terminal
from models.errors import ModelNotFound

_FAILED, _PIPE_CLOSED = 1, 141


def main(given: Sequence[str] | None = None) -> int:
    debug = bool(os.environ.get("INGLENOOK_DEBUG"))
    terminal.set_up(debug=debug)
    parser = arguments.make_parser()
    options = arguments.parse(parser, given)
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
    from app.commands.printer import Thoughts  # noqa: PLC0415
    from app.commands.run import Question, choice_of, run  # noqa: PLC0415
    from models.chat import SamplingParams  # noqa: PLC0415

    question = Question(
        model=options.name,
        system=terminal.argument(options.system) if options.system else None,
        sampling=SamplingParams(temperature=options.temperature, seed=options.seed),
        max_tokens=options.max_tokens,
        thinking=None if options.think is None else choice_of(options.think),
        thoughts=Thoughts[options.thoughts],
    )
    return run(question, terminal.argument(" ".join(options.prompt)))


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
