"""Every situation on a real Slurm: `python -m tests.slurm`. Needs root, Debian's packages and the group slurm."""

import argparse
import importlib.util
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from . import situations
from .cluster import cluster, missing
from .project import ANN, MODEL, Project, of_epochs


def main() -> int:
    """Try what is asked for; 0 if all of it went as it should."""
    parser = argparse.ArgumentParser(prog="python -m tests.slurm", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="a situation's name; repeatable")
    parser.add_argument("--short", type=int, default=80, help="epochs of a run that is disturbed while it trains")
    parser.add_argument("--long", type=int, default=280, help="epochs of a run that takes more than a minute")
    options = parser.parse_args()
    if lacking := missing(accounting=True):
        print(f"error: {', '.join(lacking)} not found: apt-get install slurm-wlm munge slurmdbd mariadb-server")
        return 2
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        print("error: Snakemake's plugin is not installed: `uv run --locked --group slurm python -m tests.slurm`")
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):  # the daemons are ended, however this ends
        signal.signal(number, lambda *_: sys.exit(1))
    folder, bad = Path(tempfile.mkdtemp(prefix="lasnn-slurm-")), 0

    def tried(where: str, act: Callable[..., str], *arguments: object) -> None:
        nonlocal bad
        if options.only and act.__name__ not in options.only:
            return
        began, good = time.monotonic(), True
        try:
            said = act(*arguments)
        except (AssertionError, RuntimeError, ValueError) as error:
            said, good, bad = f"{type(error).__name__}: {str(error)[-2000:]}", False, bad + 1
        mark = "as it should" if good else "NOT AS IT SHOULD"
        print(f"{where}: {act.__name__} ({time.monotonic() - began:.0f} s): {mark}: {said}", flush=True)

    short, long = of_epochs(options.short), of_epochs(options.long)

    def fresh(overlay: dict = short) -> Project:
        """A copy in which nothing has been made but the images."""
        place = folder / f"fresh{len(list(folder.glob('fresh*')))}"
        project = Project(place, overlay)
        (place / "data").mkdir()
        shutil.copy(folder / "local" / "data" / "digits.npz", place / "data")
        return project

    def undisturbed(name: str, overlay: dict, target: str, of: str, wanted: bool = True) -> dict[str, str]:
        """The digests of a local run, if a situation asks for them."""
        project = Project(folder / name, overlay)
        if wanted:
            status, said = project.call("--cores", "2", target)
            assert status == 0, said
        return project.digests(of)

    began = time.monotonic()
    asked = {act for act in ("tables", "time_limit") if not options.only or act in options.only}
    ending = undisturbed("local", short, MODEL, ANN)
    tables = undisturbed("local_tables", {}, "tables", "", "tables" in asked)
    long_ending = undisturbed("local_long", long, MODEL, ANN, "time_limit" in asked)
    print(f"local runs to compare with: {time.monotonic() - began:.0f} s", flush=True)

    with cluster(folder / "plain"):
        where = "no accounting"
        tried(where, situations.tables, Project(folder / "tables0"), tables)
        tried(where, situations.time_limit, fresh(long), long_ending)
        for act in (situations.cancelled, situations.requeued, situations.interrupted, situations.killed):
            tried(where, act, fresh(), ending)
        tried(where, situations.defect, fresh({"ann": {"lr": 1e30}}))
        alone = (situations.more_than_there_is, situations.planned, situations.no_controller, situations.too_many_cards)
        for act in alone:
            tried(where, act, fresh())
    with cluster(folder / "accounts", accounting=True, cards=2):
        where = "accounting, 2 GPUs"
        tried(where, situations.tables, Project(folder / "tables1"), tables)
        tried(where, situations.time_limit, fresh(long), long_ending)
        for act in (situations.memory_limit, situations.card):
            tried(where, act, fresh(), ending)
        for act in (situations.wrong_account, situations.too_many_cards):
            tried(where, act, fresh())
    if not bad:
        shutil.rmtree(folder)
    print(f"{bad} not as they should" + (f": {folder}" if bad else ""))
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
