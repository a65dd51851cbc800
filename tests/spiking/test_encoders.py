"""Encoders: the mean is the image, the values are signed spikes, and noise belongs to an image or to a whole batch."""

from functools import partial

import numpy as np
import pytest
import torch

from lasnn.compiled import draws
from lasnn.spiking.encoders import ENCODERS, batch_noise, encode, image_noise, poisson, poisson_unsigned

VALUES = (-1.0, -0.5, -0.1, 0.0, 0.3, 1.0)


def image(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def noise_of(*words):
    return batch_noise(torch.Generator().manual_seed(sum(words)))


@pytest.mark.parametrize("gain", [1.0, 0.5])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_mean_over_time_is_the_image(encoder, gain):
    """Times the gain, of a rate code."""
    x = torch.tensor(VALUES).repeat(1000).view(1, 3, 50, 40)  # 1000 pixels of each value
    spikes = encode(encoder, x, 200, noise_of(1), gain)
    assert spikes.shape == (200, 1, 3, 50, 40)
    means = spikes.reshape(200, 1000, len(VALUES)).mean((0, 1))  # over 2e5 draws
    expected = torch.tensor(VALUES) * (1 if encoder == "direct" else gain)
    assert torch.allclose(means, expected.clamp(min=0) if encoder == "poisson_unsigned" else expected, atol=0.005)
    if gain == 1:  # as the encoder itself, and as without one named
        assert torch.equal(spikes, ENCODERS[encoder](x, 200, noise_of(1)))
        assert torch.equal(spikes, encode(encoder, x, 200, noise_of(1)))
    if encoder == "direct":  # the image in every step, without a copy
        assert all(torch.equal(step, x) for step in spikes)
        assert (spikes.stride(0), spikes.data_ptr()) == (0, x.data_ptr())
    elif encoder == "poisson" and gain == 1:  # signed units: x = 0 never spikes, |x| = 1 always
        found = [set(values.unique().tolist()) for values in spikes.reshape(-1, len(VALUES)).unbind(1)]
        assert found == [{-1.0}, {-1.0, 0.0}, {-1.0, 0.0}, {0.0}, {0.0, 1.0}, {1.0}]


@pytest.mark.parametrize(
    ("encoder", "pixels", "uniform", "spikes"),
    [
        # u <= |x|: yes, yes, no, but x = 0 has no sign
        (poisson, [0.5, -0.5, 0.5, 0.0], [0.5, 0.25, 0.75, 0.0], [1.0, -1.0, 0.0, 0.0]),
        # u < x, strictly: 0.25 < 0.5 yes; 0.5 < 0.5 no; a negative pixel never; 0 at u = 0 no
        (poisson_unsigned, [0.5, 0.5, -0.5, 0.0], [0.25, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]),
    ],
)
def test_spikes_of_a_rate_code_by_hand(encoder, pixels, uniform, spikes):
    x, drawn = torch.tensor(pixels).view(1, 1, 2, 2), torch.tensor(uniform).view(1, 1, 1, 2, 2)
    assert encoder(x, 1, lambda steps, shape: drawn.clone()).flatten().tolist() == spikes


def keyed(x, indices, chunks, seed=0):
    noise = image_noise(seed, indices, torch.device("cpu"))
    return torch.cat([poisson(x, steps, noise) for steps in chunks])


def test_evaluation_noise_belongs_to_the_image():
    x = image(5, 3, 4, 4)
    whole = keyed(x, range(10, 15), [12])
    assert torch.equal(keyed(x[2:4], [12, 13], [12]), whole[:, 2:4])
    assert torch.equal(keyed(x[[4, 0]], [14, 10], [12]), whole[:, [4, 0]])  # whatever its neighbours
    assert not torch.equal(keyed(x, range(10, 15), [12], seed=1), whole)
    same = x[:1].expand(2, -1, -1, -1)
    first, second = keyed(same, [0, 1], [12]).unbind(1)
    assert not torch.equal(first, second)  # another index, other spikes


@pytest.mark.parametrize("chunks", [[1] * 12, [5, 7], [11, 1]])
def test_evaluation_noise_goes_on_from_chunk_to_chunk(chunks):
    x = image(3, 3, 4, 4)
    assert torch.equal(keyed(x, range(3), chunks), keyed(x, range(3), [12]))


@pytest.mark.parametrize("chunks", [[1] * 12, [5, 7], [11, 1]])
def test_noise_of_a_batch_goes_on_from_chunk_to_chunk(chunks):
    """A calibration of 2,500 steps in chunks has noise of its own in every step."""
    x, noise = image(3, 3, 4, 4), batch_noise(torch.Generator().manual_seed(7))
    whole = poisson(x, 12, batch_noise(torch.Generator().manual_seed(7)))
    assert torch.equal(torch.cat([poisson(x, steps, noise) for steps in chunks]), whole)
    part = batch_noise(torch.Generator().manual_seed(7), 1, 3)
    assert torch.equal(torch.cat([poisson(x[1:], steps, part) for steps in chunks]), whole[:, 1:])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_pixels_of_another_type_give_the_spikes_of_their_values(dtype):
    """All of these are exact in float32."""
    x = (torch.arange(-24, 24, dtype=torch.float32) / 32).view(1, 3, 4, 4)
    noise = partial(batch_noise, torch.Generator().manual_seed(7))
    assert torch.equal(poisson(x.to(dtype), 9, noise()).float(), poisson(x, 9, noise()))


@pytest.mark.parametrize("kind", [np.arange, torch.arange])
def test_places_are_numbers_of_any_kind(kind):
    x = image(3, 3, 4, 4)
    assert torch.equal(keyed(x, kind(3), [6]), keyed(x, range(3), [6]))


def test_all_images_at_once_get_the_noise_of_each():
    """As a GPU draws it: odd rows too."""
    keys, rows = [0, 7, 2**63 - 1], torch.arange(2, 6)
    for pixels in (12, 15):
        together = draws.by_torch(torch.tensor(keys), pixels, rows)
        for image, key in enumerate(keys):
            assert torch.equal(together[:, image], draws.by_torch(key, pixels, rows))
            assert torch.equal(together[:, image], draws.fill(torch.empty(4, pixels), key, 2))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_part_of_a_batch_is_the_slice_of_the_whole(encoder):
    x = image(6, 3, 4, 4)

    def encoded(start, stop):
        noise = batch_noise(torch.Generator().manual_seed(7), start, len(x))
        return ENCODERS[encoder](x[start:stop], 9, noise)

    whole = ENCODERS[encoder](x, 9, batch_noise(torch.Generator().manual_seed(7)))
    for start, stop in [(0, 2), (2, 4), (4, 6), (1, 6), (5, 6)]:
        assert torch.equal(encoded(start, stop), whole[:, start:stop])
