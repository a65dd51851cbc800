"""Where the CPU time of one of our training steps goes, by kind of work.

Every function that does work is timed by a wrapper; what is done inside another one counts for the inner one alone.
What no wrapper sees is the rest: autograd, Python, copies, the loss.
"""

import contextlib
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from benchmarks.case import Case, prepare
from benchmarks.ours import Ours
from lasnn.compiled import events, products
from lasnn.networks.layers import AveragePool, Dropout
from lasnn.spiking.encoders import ENCODERS
from lasnn.spiking.kernels.compiled_scan import Scan as CompiledScan

REST = "autograd, Python, copies, loss"
LINEAR = "linear layers, dense"
WORK: tuple[tuple[Any, str, str], ...] = (
    (ENCODERS, "poisson", "Poisson input"),
    (events, "events_of", "listing events"),
    (events, "convolution", "convolutions from events, forward"),
    (events, "matrix_product", "linear layers from events, forward"),
    (events, "convolution_weight", "convolutions from events, weight gradient"),
    (events, "matrix_weight", "linear layers from events, weight gradient"),
    (products, "input_gradient", "convolutions, gradient of the input"),
    (products, "backward_of", "convolutions, dense weight gradient"),
    (products, "dense", LINEAR),
    (products.Convolution, "forward", "convolutions, dense forward"),
    (CompiledScan, "forward", "scan with pools and masks, forward"),
    (CompiledScan, "backward", "scan with pools and masks, backward"),
    (AveragePool, "forward", "pools by themselves"),
    (AveragePool, "backward", "pools by themselves"),
    (Dropout, "mask", "dropout masks"),
    (nn.utils, "get_total_norm", "norm of the gradients"),
)


class Stopwatch:
    """CPU time by kind; an inner kind stops the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.kinds, self.since = [REST], time.process_time()

    def turn(self) -> None:
        """Book the time since the last turn."""
        now = time.process_time()
        self.seconds[self.kinds[-1]] += now - self.since
        self.since = now

    def timed(self, call: Callable, kind: str) -> Callable:
        def run(*given: Any, **words: Any) -> Any:
            self.turn()
            self.kinds.append(kind)
            try:
                return call(*given, **words)
            finally:
                self.turn()
                self.kinds.pop()

        return run


@contextlib.contextmanager
def wrapped(watch: Stopwatch) -> Iterator[None]:
    """Inside: all of WORK is timed."""
    before: list[tuple[Any, str, Any]] = []

    def put(owner: Any, name: str, value: Any) -> None:
        if isinstance(owner, dict):
            before.append((owner, name, owner[name]))
            owner[name] = value
        else:
            before.append((owner, name, vars(owner)[name]))
            setattr(owner, name, value)

    for owner, name, kind in WORK:
        call = owner[name] if isinstance(owner, dict) else getattr(owner, name)
        made = watch.timed(call, kind)
        put(owner, name, staticmethod(made) if isinstance(owner, type) and owner is not Dropout else made)
    # Another object than `products.OFF`: dense products then go through the functions that are timed, too.
    put(products.PRECISIONS, "off", (*products.OFF,))
    put(products, "SMALL", 0)
    try:
        yield
    finally:
        for owner, name, value in reversed(before):
            if isinstance(owner, dict):
                owner[name] = value
            else:
                setattr(owner, name, value)


def parts_rows(case: Case, rounds: int) -> list[dict]:
    """Milliseconds of each kind in a step, the mean of all rounds, and the median of steps without wrappers."""
    ours = Ours(prepare(case))
    ours.train()
    plain = []
    for _ in range(rounds):
        began = time.process_time()
        ours.train()
        plain.append(time.process_time() - began)
    watch = Stopwatch()
    step = ours.optimizer.step
    with wrapped(watch):
        ours.train()
        ours.optimizer.step = watch.timed(step, "Adam")
        watch.seconds.clear()
        watch.since = time.process_time()
        for _ in range(rounds):
            ours.train()
        watch.turn()
    total = sum(watch.seconds.values())
    rows = [
        {"kind": kind, "ms": 1e3 * seconds / rounds, "share": seconds / total}
        for kind, seconds in watch.seconds.items()
    ]
    rows.sort(key=lambda row: -row["ms"])
    unwatched = {"kind": "whole step, nothing timed inside", "ms": 1e3 * statistics.median(plain), "share": None}
    return [row | {"rounds": rounds} for row in [*rows, unwatched]]
