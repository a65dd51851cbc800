"""All faults at scale: `python -m tests.faults --kills 100 --inputs 200 --corruptions 200`."""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from . import arrivals, corruptions, disks, inputs, kills, power
from .tiny import Place, Tally


def main() -> int:
    """Try what is asked for; 0 if nothing went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=0, help="SIGKILL at so many moments, half of it by the clock, too")
    parser.add_argument("--terms", type=int, default=0, help="SIGTERM at so many moments")
    parser.add_argument("--twice", type=int, default=0, help="SIGTERM twice, 25 ms apart, at so many moments")
    parser.add_argument("--power", type=int, default=0, help="simulated losses of power")
    parser.add_argument("--disks", type=int, default=0, help="full, broken and forbidden disks")
    parser.add_argument("--corruptions", type=int, default=0, help="damaged files")
    parser.add_argument("--inputs", type=int, default=0, help="bad inputs in this process, and 42 by the command line")
    parser.add_argument("--arrivals", type=int, default=0, help="files that arrive by other ways than the workflow")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        Path(folder).chmod(0o755)
        place, tallies, began = Place(Path(folder)).prepare(), [], time.monotonic()

        def take(*found: Tally) -> None:
            for tally in found:
                tallies.append(tally)
                print(f"{tally} [{time.monotonic() - began:.0f} s]", flush=True)
                for note in tally.notes[:5]:
                    print(f"    {note}", flush=True)

        if options.kills:
            take(kills.kill_at_moments(place, options.kills), kills.kill_by_clock(place, options.kills // 2))
        if options.terms:
            take(kills.kill_at_moments(place, options.terms, signal.SIGTERM))
        if options.twice:
            place.save_within_epochs(False)
            take(kills.told_twice(place, options.twice))
            place.save_within_epochs(True)
        if options.power:
            take(power.cut_power(place, options.power))
        if options.disks:
            take(*disks.break_disks(place, options.disks))
        if options.corruptions:
            take(*corruptions.corrupt(place, options.corruptions))
        if options.inputs:
            take(*inputs.feed(place, options.inputs))
            take(inputs.feed_command_line(place, 42))
        if options.arrivals:
            take(arrivals.arrive(place, options.arrivals))
    return int(any(tally.notes for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
