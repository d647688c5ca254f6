"""The command line: `lamina train RECIPE`, `lamina recipes`, `lamina info`, `lamina bench`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import util
from pathlib import Path
from typing import Any, NoReturn

import lamina
from lamina.recipes import RECIPES, find
from lamina.recipes.settings import Recipe, Run, UsageError, describe, parse

# What a user can cause; anything else is a bug and shows its traceback.
USERS_ERRORS = (ValueError, OSError, ImportError, IndexError, FloatingPointError, RuntimeError, TypeError, MemoryError)
WRONG, MISUSED, NOT_MET, INTERRUPTED = 1, 2, 3, 130  # exit codes


class Parser(argparse.ArgumentParser):
    """Ends with the nearest names where there are some."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\n{self.format_usage().rstrip()}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            near = get_close_matches(str(value), list(action.choices), 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            self.error(f"there is no command {value!r}{hint} (there are {', '.join(action.choices)})")


def _parser() -> Parser:
    parser = Parser(prog="lamina", description="A small, fast deep-learning library.")
    parser.add_argument("--version", action="version", version=f"lamina {lamina.__version__}")
    parser.add_argument("--traceback", action="store_true", help="show where an error arose")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    train = commands.add_parser(
        "train",
        help="train a recipe",
        description="Trains a recipe and draws what came out.",
        epilog=f"exit codes: 0 the recipe's expectation was met; {WRONG} something went wrong; {MISUSED} no such recipe, "
        f"setting or option; {NOT_MET} it trained, but the expectation was not met; {INTERRUPTED} interrupted by Ctrl-C "
        "(--resume goes on)",
    )
    train.add_argument("recipe", help="its name; `lamina recipes` lists them")
    train.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change settings")
    train.add_argument("--out", type=Path, metavar="DIR", help="folder for what it writes (runs/RECIPE)")
    train.add_argument("--seed", type=int, default=0, help="of all random numbers (0)")
    train.add_argument("--threads", type=int, metavar="N", help="processor threads to use (all)")
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint in the folder")
    train.add_argument("--quiet", action="store_true", help="no progress, only the result")
    recipes = commands.add_parser("recipes", help="list the recipes", description="Lists recipes and their settings.")
    recipes.add_argument("recipe", nargs="?", help="the settings of this one")
    commands.add_parser("info", help="what this build is and what it runs on")
    bench = commands.add_parser("bench", help="measure against other libraries", add_help=False)
    bench.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that lacks ‖ still gets the rest
    given = list(sys.argv[1:] if arguments is None else arguments)
    show = "--traceback" in given[:1]
    try:
        parser = _parser()
        # argparse would take what follows bench for its own options
        asked = parser.parse_args(given[:1]) if given[:1] == ["bench"] else parser.parse_args(given)
        if asked.command is None:
            parser.print_help()
            return MISUSED
        if asked.command == "bench":
            return _bench(given[1:])
        return {"train": _train, "recipes": _recipes, "info": _info}[asked.command](asked)
    except KeyboardInterrupt:
        print("\nlamina: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `lamina recipes | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return WRONG
    except USERS_ERRORS as error:
        if show:
            raise
        print(f"lamina: {_message(error)}", file=sys.stderr)
        return MISUSED if isinstance(error, UsageError) else WRONG


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    text = str(error) or type(error).__name__
    return (
        text
        if isinstance(error, (ValueError, ImportError, FloatingPointError, OSError))
        else f"{type(error).__name__}: {text}"
    )


def _train(asked: argparse.Namespace) -> int:
    recipe = find(asked.recipe)
    settings = parse(recipe, asked.set)
    if asked.threads is not None:
        if asked.threads < 1:
            raise UsageError(f"--threads must be at least 1, got {asked.threads}")
        lamina.set_num_threads(asked.threads)
    out = asked.out or Path("runs") / recipe.name
    out.mkdir(parents=True, exist_ok=True)
    _note_settings(recipe, settings, asked, out)
    lamina.manual_seed(asked.seed)
    print(
        f"lamina {lamina.__version__}, {lamina._C._target()} kernels, {lamina.get_num_threads()} threads: {recipe.about}"
    )
    begun = time.monotonic()
    result = recipe.run(settings, Run(out, asked.resume, not asked.quiet))
    print(f"\n{result.summary}")
    print(f"{time.monotonic() - begun:.1f} s; written to {out}: {', '.join(f.name for f in result.files)} and more")
    if not result.met:
        print("lamina: the expectation was not met", file=sys.stderr)
        return NOT_MET
    return 0


def _note_settings(recipe: Recipe, settings: Any, asked: argparse.Namespace, out: Path) -> None:
    """Keeps the settings beside the checkpoint; a run is resumed with those that it had."""
    from lamina._atomic import write_text

    chosen = {"recipe": recipe.name, "seed": asked.seed, **dataclasses.asdict(settings)}
    now = json.loads(json.dumps(chosen, default=str))
    file = out / "settings.json"
    if asked.resume and file.exists():
        try:
            before = dict(json.loads(file.read_text()))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{file} is damaged: {error}") from error
        differ = [k for k in now.keys() | before.keys() if now.get(k) != before.get(k)]
        if differ:
            list_ = ", ".join(f"{k}={before.get(k)} (now {now.get(k)})" for k in sorted(differ))
            raise UsageError(f"the run in {out} had other settings: {list_}; resume it with the same")
    write_text(file, json.dumps(now, indent=2) + "\n")


def _recipes(asked: argparse.Namespace) -> int:
    if asked.recipe:
        recipe = find(asked.recipe)
        print(f"{recipe.name}: {recipe.about}\n\n{describe(recipe)}")
        return 0
    for name, about in RECIPES.items():
        print(f"{name:12}{about}")
    print("\n`lamina recipes NAME` shows the settings of one, `lamina train NAME --set key=value …` changes them.")
    return 0


def _info(asked: argparse.Namespace) -> int:
    from importlib import metadata

    lamina.show_config()
    for package, purpose in (
        ("numpy", "arrays"),
        ("scikit-learn", "bundled data sets"),
        ("matplotlib", "pictures"),
        ("rich", "progress bars"),
    ):
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            version = "not installed"
        print(f"{package:<17}  {version} ({purpose})")
    return 0


def _bench(arguments: Sequence[str]) -> int:
    sys.path.insert(0, os.getcwd())
    if util.find_spec("bench") is None or util.find_spec("bench.harness") is None:
        raise ModuleNotFoundError(
            "the benchmarks are not part of the installed package: run this in the folder of the source code, where bench/ "
            "is, after pip install '.[bench]'"
        )
    import subprocess

    return subprocess.run([sys.executable, "-m", "bench", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
