"""spyx: its neurons on JAX, the whole training step compiled with `jit`, time a `lax.scan` (`spyx.nn.run`).

`IF` fires by the potential of the step before (`delayed`) and differentiates its reset; both are among our dynamics, so
equality is shown in those. Any surrogate may be given. Products and pools are JAX's own, channels last.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import jax
import numpy as np
import optax
import torch
from jax import numpy as jnp
from spyx import axn
from spyx import nn as spyx_nn
from torch import Tensor, nn

from benchmarks.case import RECIPE, Subject
from benchmarks.equality import Seen
from lasnn.datasets.batches import plain_batches
from lasnn.networks.layers import Conv, Dropout, Linear, Pool
from lasnn.networks.residual import Block
from lasnn.spiking.neurons import LIF

Array = jax.Array
AXES = ("NHWC", "HWIO", "NHWC")


@dataclass
class Pass:
    """One walk through the network: what it reads, and the states and spikes that it leaves."""

    weights: list[Array]
    states: list[Array]
    masks: list[Array] | None  # None: evaluation
    sequence: bool  # x is [T, B, ...] rather than one step [B, ...]
    product: str  # type of both factors
    left: list[Array] = field(default_factory=list)
    spikes: list[Array] = field(default_factory=list)

    def folded(self, operation: Callable[[Array], Array], x: Array) -> Array:
        """`operation`, which knows [N, ...], on one step or on all."""
        if not self.sequence:
            return operation(x)
        return operation(x.reshape(-1, *x.shape[2:])).reshape(*x.shape[:2], *jax.eval_shape(operation, x[0]).shape[1:])


Part = Callable[[Pass, Array], Array]


class Program:
    """The layers of our network in JAX; each keeps its place among the weights, states and masks."""

    def __init__(self, subject: Subject):
        self.leak, net = subject.case.leak, subject.net
        self.weights: list[nn.Parameter] = []
        self.pixels: list[tuple[int, int] | None] = []  # [C, pixels] that a product's inputs stood in before
        self.neurons: list[nn.Module] = []
        self.shapes: list[tuple[int, ...]] = []
        self.rates: list[tuple[float, tuple[int, ...]]] = []
        self.shape: tuple[int, ...] = (net.side, net.side, 3)
        self.parts = [part for layer in net.layers.values() for part in self._layer(layer)]
        self.readout = self._linear(net.readout)

    def __call__(self, walk: Pass, x: Array) -> Array:
        """Spikes of the last layer, flat."""
        for part in self.parts:
            x = part(walk, x)
        return x

    def rest(self, batch: int) -> list[Array]:
        return [neuron.initial_state(batch) for neuron in self.neurons]

    def masks(self, key: Array, batch: int) -> list[Array]:
        """Dropout masks, each held for all steps."""
        keys = jax.random.split(key, max(1, len(self.rates)))
        kept = zip(keys, self.rates, strict=False)
        return [jax.random.bernoulli(k, 1 - rate, (batch, *shape)) / (1 - rate) for k, (rate, shape) in kept]

    def to_jax(self, index: int, weight: Tensor) -> Array:
        """[K, C, kh, kw] to [kh, kw, C, K]; [F, C * pixels] to [pixels * C, F]."""
        if weight.dim() == 4:
            moved = weight.permute(2, 3, 1, 0)
        elif self.pixels[index]:
            moved = weight.unflatten(1, self.pixels[index]).permute(2, 1, 0).flatten(0, 1)
        else:
            moved = weight.t()
        return jnp.asarray(moved.detach().contiguous().numpy())

    def to_torch(self, index: int, weight: Array) -> Tensor:
        """Back."""
        moved = torch.from_numpy(np.array(weight))
        if moved.dim() == 4:
            return moved.permute(3, 2, 0, 1)
        if self.pixels[index]:
            channels, pixels = self.pixels[index]
            return moved.unflatten(0, (pixels, channels)).permute(2, 1, 0).flatten(1)
        return moved.t()

    def _layer(self, layer: nn.Module) -> list[Part]:
        if not isinstance(layer, Block):
            first = [self._synapses(layer.synapses), self._fire(layer.activation)]
            return first + [self._between(module) for module in layer.between]
        before = self.shape
        inner = [self._synapses(layer.conv1), self._fire(layer.inner), self._between(layer.dropout)]
        inner.append(self._synapses(layer.conv2))
        after, self.shape = self.shape, before
        shortcut = None if isinstance(layer.shortcut, nn.Identity) else self._synapses(layer.shortcut)
        self.shape = after

        def junction(walk: Pass, x: Array) -> Array:
            y = x
            for part in inner:
                y = part(walk, y)
            return y + (x if shortcut is None else shortcut(walk, x))

        return [junction, self._fire(layer.junction), *map(self._between, layer.between)]

    def _synapses(self, module: nn.Module) -> Part:
        return self._conv(module) if isinstance(module, Conv) else self._linear(module)

    def _conv(self, module: Conv) -> Part:
        index, stride, pad = len(self.weights), module.stride, [(side, side) for side in module.padding]
        self.weights.append(module.weight)
        self.pixels.append(None)
        tall, wide = (-(-side // step) for side, step in zip(self.shape[:2], stride, strict=True))
        self.shape = tall, wide, module.out_channels

        def part(walk: Pass, x: Array) -> Array:
            def convolve(images: Array) -> Array:
                factors = images.astype(walk.product), walk.weights[index].astype(walk.product)
                found = jax.lax.conv_general_dilated(*factors, stride, pad, dimension_numbers=AXES)
                return found.astype("float32")

            return walk.folded(convolve, x)

        return part

    def _linear(self, module: Linear) -> Part:
        index, images = len(self.weights), len(self.shape) == 3
        self.weights.append(module.weight)
        self.pixels.append((self.shape[2], self.shape[0] * self.shape[1]) if images else None)
        self.shape = (module.out_features,)

        def part(walk: Pass, x: Array) -> Array:
            return jnp.matmul(x.astype(walk.product), walk.weights[index].astype(walk.product)).astype("float32")

        return part

    def _fire(self, module: LIF) -> Part:
        threshold, index = module.threshold.item(), len(self.neurons)
        surrogate = axn.custom(lambda x: jnp.maximum(0, 1 - jnp.abs(x) / threshold) / threshold)
        if self.leak == 1:
            neuron = spyx_nn.IF(self.shape, threshold, surrogate)
        else:
            neuron = spyx_nn.LIF(self.shape, self.leak, threshold, surrogate, rngs=None)
        self.neurons.append(neuron)

        def part(walk: Pass, x: Array) -> Array:
            call = spyx_nn.run if walk.sequence else (lambda cell, x, state: cell(x, state))
            spikes, state = call(neuron, x, walk.states[index])
            walk.left.append(state)
            walk.spikes.append(spikes)
            return spikes

        return part

    def _between(self, module: nn.Module) -> Part:
        if isinstance(module, Dropout):
            if module.rate == 0:
                return lambda walk, x: x
            index = len(self.rates)
            self.rates.append((module.rate, self.shape))
            return lambda walk, x: x if walk.masks is None else x * walk.masks[index]
        if isinstance(module, Pool):
            tall, wide, channels = self.shape[0] // 2, self.shape[1] // 2, self.shape[2]
            self.shape = tall, wide, channels

            def pool(x: Array) -> Array:
                return x[:, : 2 * tall, : 2 * wide].reshape(-1, tall, 2, wide, 2, channels).mean((2, 4))

            return lambda walk, x: walk.folded(pool, x)
        return lambda walk, x: x.reshape(*x.shape[: 2 if walk.sequence else 1], -1)  # Flatten


class Spyx:
    """`variant`: one scan over the steps of the whole network, as `spyx.nn.run` does it, or a scan for each layer."""

    name = "spyx"
    dynamics: ClassVar = {"order": "delayed", "reset_grad": True}
    variants = ("scan of the network", "scans of layers")

    def __init__(self, subject: Subject, variant: str = ""):
        self.variant = variant or self.variants[0]
        self.subject, self.case = subject, subject.case
        self.program, self.key = Program(subject), jax.random.key(0)
        self.weights = [self.program.to_jax(index, weight) for index, weight in enumerate(self.program.weights)]
        self.optimizer = optax.chain(
            optax.add_decayed_weights(RECIPE.weight_decay), optax.adam(RECIPE.lr, *RECIPE.betas)
        )
        self.moments = self.optimizer.init(self.weights)
        self.product = "bfloat16" if self.case.amp == "bf16" else "float32"
        self._step = jax.jit(self._update, donate_argnums=(0, 1))
        self._chunk = jax.jit(lambda weights, states, x: self.run(weights, states, None, x)[:2])

    def run(self, weights, states, masks, x, product: str | None = None):
        """Input [T, B, H, W, 3] to what it adds to the output potential [B, K], states, spikes of all layers."""
        words = {"weights": weights, "masks": masks, "product": product or self.product}
        if self.variant == "scans of layers":
            walk = Pass(states=states, sequence=True, **words)
            total = self.program(walk, x).sum(0)
            left, seen = walk.left, walk.spikes
        else:

            def step(carried, now):
                walk = Pass(states=carried[0], sequence=False, **words)
                return (walk.left, carried[1] + self.program(walk, now)), walk.spikes

            width = len(weights[-1])
            (left, total), seen = jax.lax.scan(step, (states, jnp.zeros((x.shape[1], width))), x)
        walk = Pass(states=[], sequence=False, **words)
        return self.program.readout(walk, total), left, seen

    def _loss(self, weights, masks, x, labels, product=None):
        logits, _, seen = self.run(weights, self.program.rest(x.shape[1]), masks, x, product)
        logits = logits / len(x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), (logits, seen)

    def _update(self, weights, moments, key, x, labels):
        masks = self.program.masks(key, x.shape[1])
        (loss, _), gradients = jax.value_and_grad(self._loss, has_aux=True)(weights, masks, x, labels)
        changes, moments = self.optimizer.update(gradients, moments, weights)
        return optax.apply_updates(weights, changes), moments, loss

    def train(self) -> None:
        """One training step: encode, forward, cross-entropy, backward, Adam."""
        batch = self.subject.batch
        x = handed_over(self.subject.encoded(batch.x, self.case.steps))
        self.key, key = jax.random.split(self.key)
        labels = jnp.asarray(batch.labels.numpy())
        self.weights, self.moments, loss = self._step(self.weights, self.moments, key, x, labels)
        jax.block_until_ready((self.weights, self.moments))
        loss.item()

    def infer(self) -> None:
        """All images in batches and chunks of the same size as ours; the state is carried from chunk to chunk."""
        rows, steps = self.case.rows, self.case.steps
        for batch in plain_batches(self.subject.images, min(64, rows)):
            states, chunk, potential = self.program.rest(len(batch)), max(1, rows // len(batch)), 0.0
            for start in range(0, steps, chunk):
                x = handed_over(self.subject.encoded(batch.x, min(chunk, steps - start)))
                added, states = self._chunk(self.weights, states, x)
                potential += added
            (potential.argmax(1) == jnp.asarray(batch.labels.numpy())).sum().item()

    def see(self, spikes: Tensor, labels: Tensor) -> Seen:
        """Spikes, logits and gradients for this input, with dropout off, in float32."""
        found = jax.value_and_grad(self._loss, has_aux=True)
        inputs = None, handed_over(spikes), jnp.asarray(labels.numpy())
        (_, (logits, seen)), gradients = jax.jit(found, static_argnums=4)(self.weights, *inputs, "float32")
        trains = [torch.from_numpy(np.array(train)) for train in seen]
        return Seen(
            [train.movedim(-1, 2) if train.dim() == 5 else train for train in trains],
            torch.from_numpy(np.array(logits)),
            [self.program.to_torch(index, gradient) for index, gradient in enumerate(gradients)],
        )


def handed_over(spikes: Tensor) -> Array:
    """[T, B, 3, H, W] as JAX's [T, B, H, W, 3]."""
    return jnp.asarray(spikes.permute(0, 1, 3, 4, 2).contiguous().numpy())
