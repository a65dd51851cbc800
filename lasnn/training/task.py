"""What a run is, as one value: its name and settings, the runs that it starts from, its images. Nothing here writes."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from lasnn import seeding
from lasnn.datasets.batches import Images, scaled
from lasnn.networks import Net, build, initialise
from lasnn.networks.quantised import quantise
from lasnn.plan.own import architecture_of
from lasnn.plan.runs import AnnRun, ConvertedRun, Run, SnnRun
from lasnn.plan.settings import AnnSettings, ConvertedSettings, Network, Neuron, Settings, SnnSettings, Spiking
from lasnn.plan.vocabulary import Architecture
from lasnn.spiking.evaluation import Evaluation, evaluate
from lasnn.spiking.neurons import Dynamics
from lasnn.spiking.surrogates import surrogate

Kind = TypeVar("Kind", bound=Run, covariant=True)
Its = TypeVar("Its", bound=Settings, covariant=True)


@dataclass(frozen=True)
class Parent:
    """A finished run that another starts from: its checkpoint's weights and meta, and how its network is built."""

    run: Run
    architecture: Architecture
    network: Network
    weights: dict[str, Tensor]
    meta: dict


@dataclass(frozen=True)
class Task(Generic[Kind, Its]):
    """A run with all that its result depends on; `test` are the images that it is judged by."""

    run: Kind
    settings: Its
    parents: tuple[Parent, ...]
    train: Images
    test: Images
    classes: int
    side: int  # of an image, pixels

    @property
    def device(self) -> torch.device:
        """Where the images are, and so the networks."""
        return self.train.labels.device

    @property
    def held_out(self) -> Images:
        """The training images that automatic choices look at."""
        return self.train.last(self.settings.data.held_out)

    @property
    def watched(self) -> Images:
        """The test images that a training's log looks at after each epoch; nothing else depends on them."""
        return self.test.first(self.settings.data.watched)

    def analog(self, net: Net, images: Images) -> Evaluation:
        """One pass of a ReLU network over images."""
        return evaluate(net, images, "direct", 1, rows=self.settings.compute.rows)

    def simulated(self: "Student", net: Net, images: Images, seed: int = 0) -> Evaluation:
        """All steps of a spiking network on images, with the run's encoder; its noise is keyed by `seed`."""
        run, rows, gain = self.run, self.settings.compute.rows, self.settings.encoder.gain
        return evaluate(net, images, run.encoder, run.steps, seed=seed, rows=rows, gain=gain)

    def parent(self, kind: type[Run]) -> Parent:
        """The parent of this kind."""
        return next(parent for parent in self.parents if isinstance(parent.run, kind))

    def teacher(self) -> Parent:
        """The analog teacher, which comes after what the student starts from."""
        return [parent for parent in self.parents if isinstance(parent.run, AnnRun)][-1]

    def network_of(self, parent: Parent, weights: dict[str, Tensor] | None = None) -> Net:
        """A parent's ReLU network with the weights of its checkpoint, or with `weights` in their place."""
        weights = parent.weights if weights is None else weights
        net = self.built(parent.architecture, parent.network, standardised="standardise.mean" in weights)
        net.load_state_dict(weights)
        return net.to(self.device)

    def bare_network(self) -> Net:
        """The run's own ReLU network as torch builds it, for its shapes."""
        arch, network = self.architecture, self.settings.network
        norm = network.teacher_norm if arch.teacher else network.ann_norm
        return self.built(arch, network, standardised=norm == "dataset_stats")

    def new_network(self) -> Net:
        """The run's own ReLU network with fresh weights."""
        net = self.bare_network()
        if net.standardise is not None:
            net.standardise.fit(scaled(self.train.pixels.cpu()))
        draws = seeding.generator(self.run.seed, "initial weights", self.run.network_name)
        return initialise(net, self.architecture, self.settings.network.init, draws).to(self.device)

    @property
    def architecture(self) -> Architecture:
        """That of the run's own network."""
        return architecture_of(self.run.network_name, self.settings.architecture)

    def built(self, arch: Architecture, network: Network, standardised: bool) -> Net:
        """A ReLU network for the run's images as torch builds it."""
        return built(arch, network, self.classes, self.side, standardised)


def built(arch: Architecture | str, network: Network, classes: int, side: int, standardised: bool) -> Net:
    """A ReLU network under these settings as torch builds it."""
    net = build(
        arch,
        classes,
        side,
        width=network.width,
        fc=network.fc,
        dropout_scale=network.dropout_scale,
        standardised=standardised,
    )
    return net if network.levels is None else quantise(net, network.levels)


def dynamics_of(neuron: Neuron, spiking: Spiking | None = None) -> Dynamics:
    """The neurons' dynamics, with leak 1 until it is chosen; without a section `spiking` those of a conversion."""
    if spiking is None:
        return Dynamics(order=neuron.order, reset=neuron.reset)
    return Dynamics(
        order=neuron.order,
        reset=neuron.reset,
        surrogate=surrogate(spiking.surrogate, spiking.gamma, spiking.stdb, spiking.width),
        reset_grad=spiking.reset_grad,
        kind=spiking.kind,
        adaptation=spiking.adaptation,
    )


Analog = Task[AnnRun, AnnSettings]
Converted = Task[ConvertedRun, ConvertedSettings]
Student = Task[SnnRun, SnnSettings]
Balanced = Task[ConvertedRun | SnnRun, ConvertedSettings | SnnSettings]
