"""Accuracy after every time step, logits, and spikes per layer, streamed: memory does not grow with T."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lasnn.datasets.batches import Images, plain_batches
from lasnn.networks import Net
from lasnn.plan.vocabulary import ENCODERS
from lasnn.spiking.conversion import neurons
from lasnn.spiking.encoders import encode, image_noise
from lasnn.spiking.neurons import streaming

BATCH = 64  # images of one streamed batch
INPUT = "input"  # what the encoder's spikes are called among those of layers


Shape = tuple[int, ...]


@dataclass
class LayerSpikes:
    """Spikes of one layer: N images, T steps, n neurons."""

    neurons: int
    total: float
    images: int
    silent: int  # neurons without a spike in all images and steps

    @property
    def per_neuron(self) -> float:
        """S_l: spikes for each neuron and image, at most T."""
        return self.total / (self.images * self.neurons)


@dataclass
class Evaluation:
    """What one pass over N images with one encoder seed saw."""

    accuracy_by_step: np.ndarray[Shape, np.dtype[np.float64]]  # [T], in percent
    predicted: np.ndarray[Shape, np.dtype[np.int16]]  # int16 [G, N]: class after each step of the grid
    logits: np.ndarray[Shape, np.dtype[np.float32]]  # float32 [N, K]: output potential after T steps
    cross_entropy: dict[str, float]  # of the summed (`sum`) and time-averaged (`mean`) logits
    spikes: dict[str, LayerSpikes] = field(default_factory=dict)
    counts: dict[str, Tensor] = field(default_factory=dict)  # spikes of each neuron; with `input` if the encoder spikes

    @property
    def images(self) -> int:
        """N."""
        return len(self.logits)

    @property
    def accuracy(self) -> float:
        """After the last step, in percent."""
        return float(self.accuracy_by_step[-1])


@torch.no_grad()
def evaluate(
    net: Net,
    images: Images,
    encoder: str,
    steps: int,
    *,
    seed: int = 0,
    rows: int = 512,
    grid: Sequence[int] = (),
    first: int = 0,
    gain: float = 1.0,
    step: Callable[[int], None] | None = None,
) -> Evaluation:
    """Run `net` for `steps` on all images, in chunks of at most `rows` images x steps.

    `grid` names steps whose predictions are kept (default: the last). `first` is the index of the first image, which
    the encoder's noise is keyed by. `step`, if given, is called after each batch with the number of images done.
    `gain` is the encoder's. An ANN is evaluated with encoder `direct` and one step.
    """
    device = net.readout.weight.device
    grid = tuple(grid) or (steps,)
    if min(grid) < 1 or max(grid) > steps:
        raise ValueError(f"grid {grid}: expected steps from 1 to {steps}")
    classes, batch_size = net.readout.out_features, min(BATCH, rows) if steps > 1 else rows
    correct = torch.zeros(steps, dtype=torch.int64, device=device)
    predicted = torch.zeros(len(grid), len(images), dtype=torch.int16)
    logits = torch.zeros(len(images), classes)
    net.eval()
    counts = _SpikeCounts(net)
    done = 0
    for batch in plain_batches(images, batch_size):
        indices = range(first + done, first + done + len(batch))
        noise = image_noise(seed, indices, device) if ENCODERS[encoder].draws else None
        potential = torch.zeros(len(batch), classes, device=device)
        chunk = max(1, rows // len(batch))
        with streaming(net), counts:
            for start in range(0, steps, chunk):
                now = min(chunk, steps - start)
                encoded = encode(encoder, batch.x, now, noise, gain)
                if not ENCODERS[encoder].analog:
                    counts.add(INPUT, encoded.abs())
                output = net(encoded)
                potentials = potential + output.currents.cumsum(0)  # [t, B, K]
                potential = potentials[-1]
                choice = potentials.argmax(2)
                correct[start : start + now] += (choice == batch.labels).sum(1)
                for row, moment in enumerate(grid):
                    if start < moment <= start + now:
                        predicted[row, done : done + len(batch)] = choice[moment - start - 1].to(torch.int16).cpu()
        logits[done : done + len(batch)] = potential.cpu()
        done += len(batch)
        if step:
            step(len(batch))
    labels = images.labels.cpu()
    entropy = {"sum": F.cross_entropy(logits, labels).item(), "mean": F.cross_entropy(logits / steps, labels).item()}
    by_step = (correct.cpu().double() * 100 / max(len(images), 1)).numpy()  # a GPU divides by 9 in another way
    spikes = counts.layers(len(images))
    return Evaluation(by_step, predicted.numpy(), logits.numpy(), entropy, spikes, counts.totals)


class _SpikeCounts:
    """Spikes of each neuron while the block is open, summed over images and steps."""

    def __init__(self, net: nn.Module):
        self.neurons = neurons(net)
        self.totals: dict[str, Tensor] = {}

    def __enter__(self) -> None:
        for name, neuron in self.neurons.items():
            neuron.tally = partial(self.add, name)

    def __exit__(self, *exception: object) -> None:
        for neuron in self.neurons.values():
            neuron.tally = None

    def add(self, name: str, spikes: Tensor) -> None:
        """Count spikes [T, B, ...] of one layer."""
        # A product with ones is the fastest sum over rows, and exact: a chunk has far fewer than 2^24 rows.
        flat = spikes.permute(0, 1, 3, 4, 2) if spikes.dim() == 5 else spikes  # in the order of its memory
        rows = flat.flatten(0, 1)
        count = (rows.new_ones(len(rows)) @ rows.flatten(1)).double().view(rows.shape[1:])
        count = count.permute(2, 0, 1) if spikes.dim() == 5 else count
        self.totals[name] = self.totals[name] + count if name in self.totals else count

    def layers(self, images: int) -> dict[str, LayerSpikes]:
        return {
            name: LayerSpikes(count.numel(), count.sum().item(), images, int((count == 0).sum()))
            for name, count in self.totals.items()
            if name != INPUT
        }
