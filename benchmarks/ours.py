"""This project: its training step and its evaluation, called as the stages call them."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.case import RECIPE, Subject
from benchmarks.equality import Seen
from lasnn import seeding
from lasnn.compiled.machine_code import library
from lasnn.console import Console
from lasnn.datasets.batches import scaled
from lasnn.networks.net import look, watched
from lasnn.plan.settings import Data
from lasnn.spiking.conversion import balance, neurons
from lasnn.spiking.encoders import ENCODERS, batch_noise
from lasnn.spiking.evaluation import evaluate
from lasnn.training.device import products_in
from lasnn.training.loop import Job, Moment, Part, optimizer, update
from lasnn.training.resume import Saves


class Ours:
    """Net, spiking neurons, fused Adam, micro-batches."""

    name = "ours"

    def __init__(self, subject: Subject, variant: str = ""):
        case = self.case = subject.case
        self.subject, self.net = subject, subject.copy_of_net()
        self.net.taps = {}  # as the stage does for a loss that reads none
        self.optimizer = optimizer(self.net, RECIPE)
        data = Data(train_images=None, test_images=None, held_out=1, assess="test", crop_padding=4, flip=True)
        self.job = Job(RECIPE, data, 0, case.micro_batch or case.batch, Saves(Path(), "", Console()))
        self.steps_done = 0
        if case.micro_batch:
            self.name = f"ours, micro-batches of {case.micro_batch}"

    def train(self) -> None:
        """One training step: encode, forward, cross-entropy, backward, gradient norm, Adam."""
        self.net.train()
        moment = Moment(seed=0, epoch=0, batch=self.steps_done, progress=0.0)
        self.steps_done += 1
        update(self.net, self._losses, self.subject.batch, moment, self.optimizer, self.job)()
        self.optimizer.zero_grad(set_to_none=True)

    def _losses(self, part: Part, moment: Moment) -> dict[str, Tensor]:
        noise = batch_noise(moment.draws("encoder", self.case.device), part.start, part.whole)
        with products_in(self.case.amp, self.case.device):
            output = self.net(ENCODERS["poisson"](part.batch.x, self.case.steps, noise))
        return {"ce": F.cross_entropy(output.logits / self.case.steps, part.batch.labels)}

    def densities(self) -> list[float]:
        """The share of non-zero inputs that each convolution and product sees."""
        found, net = [], self.subject.copy_of_net()
        products = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
        with watched(products, before=lambda _, x: found.append((x != 0).double().mean().item())):
            look(net, self.subject.encoded(self.subject.batch.x, self.case.steps))
        return found

    def infer(self) -> None:
        """Evaluate all images, streamed in chunks."""
        evaluate(self.net, self.subject.images, "poisson", self.case.steps, rows=self.case.rows)

    @torch.no_grad()
    def balance(self) -> None:
        """Thresholds of all layers from all images, in chunks of as many rows as in an evaluation."""
        x, steps = scaled(self.subject.images.pixels), self.case.steps
        chunk = max(1, self.case.rows // len(x))

        def encoded() -> Iterator[Tensor]:
            noise = batch_noise(seeding.generator("benchmark", "balancing", device=self.case.device))
            for start in range(0, steps, chunk):
                yield ENCODERS["poisson"](x, min(chunk, steps - start), noise)

        balance(self.subject.copy_of_net().eval(), encoded)

    def see(self, spikes: Tensor, labels: Tensor, **dynamics: object) -> Seen:
        """Spikes, logits and gradients for this input, in its type, without dropout, in these dynamics of neurons."""
        net, seen = self.subject.copy_of_net(**dynamics).to(spikes.dtype).eval(), []
        for neuron in neurons(net).values():
            neuron.register_forward_hook(lambda module, inputs, output: seen.append(output.detach().clone()))
        logits = net(spikes.clone()).logits / len(spikes)
        weights = [net.get_parameter(name) for name, _ in net.named_parameters()]
        return Seen(seen, logits.detach(), list(torch.autograd.grad(F.cross_entropy(logits, labels), weights)))


class ByTorch(Ours):
    """The same without the compiled loops."""

    name = "ours by torch"

    def train(self) -> None:
        with without_loops():
            super().train()

    def infer(self) -> None:
        with without_loops():
            super().infer()

    def balance(self) -> None:
        with without_loops():
            super().balance()


@contextlib.contextmanager
def without_loops() -> Iterator[None]:
    """Inside: no module finds the compiled loops, so that all work is torch's."""
    named = [module for name, module in sys.modules.items() if name.startswith("lasnn.")]
    places = [module for module in named if vars(module).get("library") is library]
    for module in places:
        module.library = lambda: None
    try:
        yield
    finally:
        for module in places:
            module.library = library
