"""What ``ingle`` can be told: its commands, and the words behind them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from models.version import own_version

_THINK = "--think"


def make_parser() -> argparse.ArgumentParser:
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
        "prompt",
        metavar="PROMPT",
        nargs="*",
        help="what to ask, with the paths of pictures if there are; what is piped in follows it",
    )
    run.add_argument("--system", help="how the model is to behave")
    run.add_argument("--temperature", type=float, help="0 is the likeliest answer each time")
    run.add_argument("--seed", type=int, help="the same seed draws the same answer")
    run.add_argument("--max-tokens", type=_positive, help="the longest answer")
    run.add_argument(
        _THINK,
        metavar="HOW",
        choices=("on", "off", "true", "false", "low", "medium", "high", "max"),
        help="whether, or how hard, it is to think first: on, off, low, medium, high",
    )
    thoughts = run.add_mutually_exclusive_group()
    for name, value, does in (
        ("show-thinking", "SHOW", "print what it thinks, too"),
        ("hide-thinking", "HIDE", "say nothing of what it thinks"),
    ):
        thoughts.add_argument(
            # Ollama's command has no second dash.
            *(f"--{name}", f"--{name.replace('-', '')}"),
            action="store_const",
            const=value,
            dest="thoughts",
            help=does,
        )
    run.set_defaults(thoughts="FOLD")


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


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse, and take ``run MODEL --think PROMPT`` too, which argparse alone does not."""
    given = sys.argv[1:] if arguments is None else arguments
    # Alone it takes no word, as in Ollama's command: what follows it is the prompt.
    given = [f"{_THINK}=on" if each == _THINK else each for each in given]
    options, rest = parser.parse_known_args(given)
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
