"""All faults at scale: `python -m tests.faults --kills 100 --inputs 200 --corruptions 200`."""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from . import arrivals, corruptions, disks, inputs, kills, power
from .tiny import Place

# Of each option what it plays, given a place and how much of it, and its help.
FAULTS = {
    "kills": (kills.kill, "SIGKILL at so many moments, half of it by the clock, too"),
    "terms": (lambda *dose: [kills.kill_at_moments(*dose, signal.SIGTERM)], "SIGTERM at so many moments"),
    "twice": (lambda *dose: [kills.told_twice(*dose)], "SIGTERM twice, 25 ms apart, at so many moments"),
    "power": (lambda *dose: [power.cut_power(*dose)], "simulated losses of power"),
    "disks": (disks.break_disks, "full, broken and forbidden disks"),
    "corruptions": (corruptions.corrupt, "damaged files"),
    "inputs": (inputs.feed_both_ways, "bad inputs in this process, and 42 by the command line"),
    "arrivals": (lambda *dose: [arrivals.arrive(*dose)], "files that arrive by other ways than the workflow"),
}


def main() -> int:
    """Try what is asked for; 0 if nothing went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    for name, (_, text) in FAULTS.items():
        parser.add_argument(f"--{name}", type=int, default=0, help=text)
    asked, wrong = vars(parser.parse_args()), 0
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        Path(folder).chmod(0o755)
        place, began = Place(Path(folder)).prepare(), time.monotonic()
        for name, (play, _) in FAULTS.items():
            for tally in play(place, asked[name]) if asked[name] else ():
                print(f"{tally} [{time.monotonic() - began:.0f} s]", flush=True)
                for note in tally.notes[:5]:
                    print(f"    {note}", flush=True)
                wrong += len(tally.notes)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
