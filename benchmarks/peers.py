"""What the other libraries share: our network rebuilt from their parts, and one training loop around it."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.case import RECIPE, Subject
from benchmarks.equality import Seen
from lasnn.datasets.batches import plain_batches
from lasnn.networks import Net
from lasnn.networks.layers import Conv, Dropout, Flatten, Linear, Pool
from lasnn.networks.plain import Layer
from lasnn.networks.residual import Block
from lasnn.spiking.neurons import LIF
from lasnn.training.loop import optimizer

PARTS = (Conv, Linear, Pool, Dropout, Flatten, LIF)


class Junction(nn.Module):
    """A residual block made of a library's parts."""

    def __init__(self, block: Block, part):
        super().__init__()
        self.conv1, self.inner, self.dropout = part(block.conv1), part(block.inner), part(block.dropout)
        self.conv2, self.shortcut, self.junction = part(block.conv2), part(block.shortcut), part(block.junction)

    def forward(self, x: Tensor) -> Tensor:
        return self.junction(self.conv2(self.dropout(self.inner(self.conv1(x)))) + self.shortcut(x))


def rebuilt(net: Net, part) -> nn.Sequential:
    """The layers of `net` in order; `part(module)` is a library's counterpart of one of PARTS, weights copied."""

    def known(module: nn.Module) -> nn.Module:
        if isinstance(module, nn.Identity):
            return nn.Identity()
        if not isinstance(module, PARTS):
            raise TypeError(f"{type(module).__name__} has no counterpart: expected one of {PARTS}")
        return part(module)

    def layer(module: nn.Module) -> nn.Module:
        if isinstance(module, Block):
            return nn.Sequential(Junction(module, known), *map(known, module.between))
        if isinstance(module, Layer):
            return nn.Sequential(*map(known, (module.synapses, module.activation, *module.between)))
        raise TypeError(f"{type(module).__name__} has no counterpart: expected a Layer or a Block")

    return nn.Sequential(*map(layer, net.layers.values()))


class Peer:
    """A network of another library in the same training step; a subclass says how to reset it and how to run it."""

    name: str
    dynamics: ClassVar[dict]  # how its neurons move, in the words of `lasnn.spiking.neurons`
    neuron: type[nn.Module]

    def __init__(self, subject: Subject, features: nn.Sequential, readout: nn.Linear):
        self.subject, self.case = subject, subject.case
        self.net = nn.ModuleList([features, readout]).to(subject.case.device)
        self.features, self.readout = features, readout
        self.optimizer = optimizer(self.net, RECIPE)

    def reset(self) -> None:
        """Bring all neurons to rest."""
        raise NotImplementedError

    def run(self, spikes: Tensor) -> Tensor:
        """Input [T, B, 3, H, W] to what its steps add to the output potential, [B, K]; the state is kept."""
        raise NotImplementedError

    def train(self) -> None:
        """One training step: encode, forward, cross-entropy, backward, Adam."""
        self.net.train()
        self.reset()
        batch = self.subject.batch
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.case.device, torch.bfloat16, enabled=self.case.amp == "bf16"):
            logits = self.run(self.subject.encoded(batch.x, self.case.steps)).float() / self.case.steps
        loss = F.cross_entropy(logits, batch.labels)
        loss.backward()
        loss.item()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.reset()

    @torch.no_grad()
    def infer(self) -> None:
        """All images in batches and chunks of the same size as ours; the state is carried from chunk to chunk."""
        self.net.eval()
        rows, steps = self.case.rows, self.case.steps
        for batch in plain_batches(self.subject.images, min(64, rows)):
            self.reset()
            chunk = max(1, rows // len(batch))
            potential = 0.0
            for start in range(0, steps, chunk):
                potential += self.run(self.subject.encoded(batch.x, min(chunk, steps - start)))
            potential.argmax(1).eq(batch.labels).sum().item()
        self.reset()

    def see(self, spikes: Tensor, labels: Tensor) -> Seen:
        """Spikes, logits and gradients for this input, with dropout off."""
        found = [[] for module in self.features.modules() if isinstance(module, self.neuron)]
        nodes = [module for module in self.features.modules() if isinstance(module, self.neuron)]
        handles = [
            node.register_forward_hook(lambda module, inputs, output, steps=steps: steps.append(output.detach()))
            for node, steps in zip(nodes, found, strict=True)
        ]
        try:
            self.net.eval()
            self.reset()
            logits = self.run(spikes.clone()) / len(spikes)
            gradients = torch.autograd.grad(F.cross_entropy(logits, labels), list(self.net.parameters()))
        finally:
            self.reset()
            for handle in handles:
                handle.remove()
        trains = [torch.stack(steps) if len(steps) > 1 else steps[0] for steps in found]
        return Seen(trains, logits.detach(), list(gradients))


def synapses(module: nn.Module, made: nn.Module) -> nn.Module:
    """`made` with the weight of `module`, in the same memory format."""
    made.weight = nn.Parameter(module.weight.detach().clone(memory_format=torch.preserve_format))
    return made
