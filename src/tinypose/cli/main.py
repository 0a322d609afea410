"""The command line: one file per verb, errors in one line."""

import errno
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, NoReturn

import typer

from tinypose import __version__
from tinypose.cli import data, demo, evaluate, export, models, predict, prune, train
from tinypose.errors import TinyposeError
from tinypose.files import describe
from tinypose.weights import SameNameWarning

INTERRUPTED = 130

app = typer.Typer(
    name="tinypose",
    help="Train, shrink and ship 2D pose estimators on your own photos.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("prune")(prune.prune)
app.command("export")(export.export)
app.command("predict")(predict.predict)
app.command("models")(models.models)
app.add_typer(data.app, name="data", help="Check, look at and clean labelled data.")


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.")
    ] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit()


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage.

    Ctrl-C exits with 130. ``TINYPOSE_DEBUG=1`` shows the traceback of a
    failure.
    """
    command = typer.main.get_command(app)
    warnings.showwarning = partial(_show_warning, warnings.showwarning)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = command.main(words, prog_name="tinypose", standalone_mode=False)
    except TinyposeError as error:
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _end_quietly()
    except SystemExit as stop:
        # How the parser and rich pass a closed pipe on.
        if isinstance(stop.__context__, BrokenPipeError):
            _end_quietly()
        raise
    except MemoryError:
        _fail("out of memory; try a smaller batch, --limit or input size", 1)
    except OSError as error:
        name = f" {error.filename}" if error.filename else ""
        known = error.errno in errno.errorcode
        _fail(f"cannot use{name}: {describe(error) if known else error}", 1)
    except Exception as error:
        _fail(*_explain(error, words))
    if code == INTERRUPTED:  # how the parser passes Ctrl-C on
        _fail("interrupted", INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _show_warning(
    others: Callable[..., None],
    message: Warning | str,
    category: type[Warning],
    *place: Any,
    **more: Any,
) -> None:
    """Show a warning of tinypose's in one line, and others as ever."""
    if issubclass(category, SameNameWarning):
        typer.echo(f"tinypose: warning: {message}", err=True)
    else:
        others(message, category, *place, **more)


def _end_quietly() -> NoReturn:
    """Exit with 0: the reader of our output (head, less) has gone, no failure."""
    # The interpreter must not flush into the closed pipe at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _explain(error: Exception, words: list[str]) -> tuple[str, int]:
    """Return the message and exit code of an error from outside tinypose."""
    if hasattr(error, "format_message"):  # wrong usage, found by the parser
        if not words:
            return "expected a command; see  tinypose --help", 2
        verb = next((word for word in words if not word.startswith("-")), "")
        message = " ".join(error.format_message().split())
        return f"{message}; see  {f'tinypose {verb}'.strip()} --help", 2
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        "unexpected failure, please report it with what the same command prints "
        f"under TINYPOSE_DEBUG=1 ({reason[:500]})",
        1,
    )


def _fail(message: str, code: int) -> NoReturn:
    if os.environ.get("TINYPOSE_DEBUG") == "1":
        import traceback

        traceback.print_exc()
    typer.echo(f"tinypose: error: {message}", err=True)
    sys.exit(code)
