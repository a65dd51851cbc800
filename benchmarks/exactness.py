"""How far the compiled engine is from the torch scan, in float32 and in float64, on the same input and weights."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.case import GRID, Case, Subject, prepare
from benchmarks.equality import Seen, distance
from benchmarks.ours import without_loops
from lasnn.spiking.conversion import neurons

# With weights on the grid and without a leak potentials are exact in float32: no spike may differ. Weights off the
# grid, with a leak, are as in a run: a spike near a tie may.
KINDS = {"on the grid": 1.0, "off the grid": 0.99}


def seen(subject: Subject, x: Tensor, labels: Tensor, dtype: torch.dtype) -> Seen:
    """Spikes, logits and gradients of a training step without dropout, in this type."""
    net, trains = subject.copy_of_net().to(dtype).train(), []
    for module in net.modules():
        if isinstance(module, nn.Module) and hasattr(module, "rate"):
            module.rate = 0.0
    for neuron in neurons(net).values():
        neuron.register_forward_hook(lambda module, inputs, output: trains.append(output.detach().float()))
    logits = net(x.to(dtype)).logits / len(x)
    gradients = torch.autograd.grad(F.cross_entropy(logits, labels), list(net.parameters()))
    return Seen(trains, logits.detach(), list(gradients))


def exactness_rows(case: Case) -> Iterator[dict]:
    """One row for each kind of weights and type of the torch scan."""
    for weights, leak in KINDS.items():
        subject = prepare(replace(case, leak=leak))
        if weights == "off the grid":
            with torch.no_grad():
                for weight in subject.net.parameters():
                    weight.mul_(1 + GRID / 3)
        batch = subject.batch
        x = subject.encoded(batch.x, case.steps)
        compiled = seen(subject, x, batch.labels, torch.float32)
        with without_loops():
            single, double = (seen(subject, x, batch.labels, dtype) for dtype in (torch.float32, torch.float64))
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
    return Seen(found.spikes, found.logits.double(), [gradient.double() for gradient in found.gradients])
