"""How far the compiled engine is from the torch scan, in float32 and in float64, on the same input and weights."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from benchmarks.case import GRID, Case, prepare
from benchmarks.equality import Seen, distance
from benchmarks.ours import Ours, without_loops

# With weights on the grid and without a leak potentials are exact in float32: no spike may differ. Weights off the
# grid, with a leak, are as in a run: a spike near a tie may.
KINDS = {"on the grid": 1.0, "off the grid": 0.99}


def exactness_rows(case: Case) -> Iterator[dict]:
    """One row for each kind of weights and type of the torch scan."""
    for weights, leak in KINDS.items():
        subject = prepare(replace(case, leak=leak))
        if weights == "off the grid":
            with torch.no_grad():
                for weight in subject.net.parameters():
                    weight.mul_(1 + GRID / 3)
        ours, batch = Ours(subject), subject.batch
        x = subject.encoded(batch.x, case.steps)
        compiled = ours.see(x, batch.labels)
        with without_loops():
            single, double = (ours.see(x.to(dtype), batch.labels) for dtype in (torch.float32, torch.float64))
        pairs = {
            ("compiled", "torch float32"): (compiled, single),
            ("compiled", "torch float64"): (compiled, double),
            ("torch float32", "torch float64"): (single, double),
        }
        for (name, other), seens in pairs.items():
            found = distance(*map(widened, seens))
            row = {"implementation": name, "against": other, "weights": weights, "leak": leak}
            row |= {"differs_spikes": found.spikes, "differs_logits": found.logits}
            yield row | {"differs_gradients": found.gradients, "rate": found.rate}


def widened(found: Seen) -> Seen:
    """In float64, in which differences are taken."""
    spikes, gradients = ([one.double() for one in each] for each in (found.spikes, found.gradients))
    return Seen(spikes, found.logits.double(), gradients)
