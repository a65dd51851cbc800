"""The command line. `python -m lasnn --help`; the verbs are in `lasnn.verbs`."""

import argparse
import errno
import itertools
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from lasnn import __version__, stopping
from lasnn.console import Console
from lasnn.errors import InputError
from lasnn.plan.config import CONFIG
from lasnn.storage import bucket, user
from lasnn.verbs import VERBS


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; 0 if it went well, 2 with one line if the input was at fault."""
    open_streams()
    user.complete()
    options = parser().parse_args(arguments)
    if arguments is None and (there := bucket.passed_on()):
        enter(there, options)
    console = Console(log=options.log)
    with stopping.listening(to_the_end=arguments is None):
        return obeyed(options, console)


def enter(there: bucket.Bucket, options: argparse.Namespace) -> None:
    """Work where the local copies of a bucket's files lie, as a job whose paths Snakemake gave."""
    for name in ("folder", "path", "log"):
        if (path := getattr(options, name, None)) and Path(there.place) in Path(path).parents:
            setattr(options, name, type(path)(os.path.relpath(path, there.place)))
    os.chdir(there.place)


def obeyed(options: argparse.Namespace, console: Console) -> int:
    """The exit status of a verb; whatever ends it early is one line, but for defects."""
    try:
        with console.alive(options.verb):
            status = options.act(options, console) or 0
        sys.stdout.flush()  # here, where a reader that has left does no harm
        return status
    except InputError as error:
        console.say(f"error: {' '.join(str(error).split())}")
        return 2
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:  # a full disk, a folder that can't be written
        where = full_disks() if error.errno == errno.ENOSPC and not error.filename else ""
        console.say(f"error: {error}{where}; what is finished is kept: mend this and run the same command again")
        return 4
    except stopping.Stopped as stopped:
        console.say(f"error: {stopped}")
        return stopped.status
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            console.record(traceback.format_exc())  # of a defect
            raise
        console.say(
            "error: out of memory; what was saved is kept and the same command goes on from there: set a smaller "
            f"compute.micro_batch or compute.rows in {options.config}"
        )
        return 3
    except Exception:
        console.record(traceback.format_exc())
        raise


def open_streams() -> None:
    """Replacements for standard streams that the caller has closed: else the next file would get their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            while os.open(os.devnull, os.O_RDWR) < number:
                pass
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def full_disks() -> str:
    """Which of the disks that are written to is full: the working folder's, or that of temporary files."""
    import shutil
    import tempfile

    places = {"the working folder": os.curdir, "temporary files (TMPDIR)": tempfile.gettempdir()}
    full = [name for name, place in places.items() if shutil.disk_usage(place).free < 1 << 20]
    return f" on the disk of {' and of '.join(full)}" if full else ""


def out_of_memory(error: Exception) -> bool:
    """Whether torch or Python could not get the memory that it asked for."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong with the words in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}: see `{self.prog} --help`\n")


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    words = ["LaSNN: layer-wise ANN-to-SNN distillation."]
    for group, found in VERBS.items():
        words += ["", group, *(f"  {verb.name:15} {verb.help}" for verb in found)]
    formatter = argparse.RawDescriptionHelpFormatter
    top = OneLineParser(prog="python -m lasnn", description="\n".join(words), formatter_class=formatter)
    top.add_argument("--version", action="version", version=f"lasnn {__version__}")
    common = OneLineParser(add_help=False)
    common.add_argument("--config", default=CONFIG, type=Path, help="the configuration file (default: config.yaml)")
    common.add_argument("--log", type=Path, help="also write what is printed to this file")
    verbs = top.add_subparsers(required=True, metavar="VERB", dest="verb", help="`VERB --help` has an example")
    for verb in itertools.chain(*VERBS.values()):
        example = f"example: python -m lasnn {verb.name} {verb.example}"
        one = verbs.add_parser(verb.name, parents=[common], description=verb.help, epilog=example)
        for names, options in verb.arguments:
            one.add_argument(*names, **options)
        one.set_defaults(act=verb.act)
    return top


if __name__ == "__main__":
    sys.exit(main())
