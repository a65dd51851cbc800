"""`python -m benchmarks`: measure, write CSV files (benchmarks/README.md)."""

import argparse
import sys
from pathlib import Path

from benchmarks.implementations import MODULES, USUAL
from benchmarks.measure import CLOCKS, write
from benchmarks.runs import RUNS, Request, say, set_up
from lasnn.compiled.products import PRECISIONS
from lasnn.errors import InputError
from lasnn.plan.vocabulary import STUDENTS


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--what", nargs="+", choices=RUNS, default=["training"])
    parser.add_argument("--networks", nargs="+", choices=STUDENTS, default=["vgg5"])
    parser.add_argument("--steps", nargs="+", type=int, default=[25], help="T")
    parser.add_argument("--batch", type=int, default=16, help="images in a training step")
    parser.add_argument("--images", type=int, default=64, help="images of an inference, or of a round of distillation")
    parser.add_argument("--micro-batch", type=int, default=None, help="also ours with micro-batches of this size")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument(
        "--fc", type=int, default=None, help="units of the hidden linear layers; default: the network's"
    )
    parser.add_argument(
        "--amp",
        nargs="+",
        choices=[*PRECISIONS, "tf32"],
        default=["off"],
        help="of our products; tf32: CUDA",
    )
    parser.add_argument(
        "--rate", type=float, default=None, help="share of a layer's neurons that spike in a step; default: as it comes"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: CPU time, for a busy machine; one thread")
    parser.add_argument("--implementations", nargs="+", choices=MODULES, default=list(USUAL))
    parser.add_argument("--variant", default="", help="memory: only the variants of peers that have this in their name")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    given = vars(arguments(words))
    what, out = given.pop("what"), given.pop("out")
    request = Request(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})
    if request.clock == "cpu" and (request.threads > 1 or request.device != "cpu"):
        print("--clock cpu counts waiting threads as work: use --threads 1 --device cpu", file=sys.stderr)
        return 2
    set_up(request)
    missing = [name for name in request.implementations if name not in request.usable]
    if missing:
        say(f"not installed, left out: {', '.join(missing)} (uv sync --locked --group bench)")
    for name in what:
        say(f"{name}:")
        try:
            for row in RUNS[name](request):
                path = write(out, name, [row])
        except (InputError, ValueError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        say(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
