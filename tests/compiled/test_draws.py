"""Uniform draws: what they are, and that any part of them can be drawn by itself."""

import torch

from lasnn.compiled import draws


def splitmix(seed: int, place: int) -> int:
    """The output number `place`, from 0, of SplitMix64 in Python's whole numbers."""
    every = (1 << 64) - 1
    z = (seed + (place + 1) * 0x9E3779B97F4A7C15) & every
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & every
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & every
    return z ^ (z >> 31)


def test_both_ways_are_splitmix():
    assert splitmix(1234567, 0) == 6457827717110365317  # the first output that is published for this seed
    assert splitmix(1234567, 1) == 3203168211198807973
    key, pixels = (1 << 62) + 12345, 7
    words = [splitmix(key, place) for place in range(8)]  # two rows of four words
    expected = torch.tensor([[half * 2.0**-24 for w in row for half in ((w & 0xFFFFFFFF) >> 8, w >> 40)][:pixels]
                             for row in (words[:4], words[4:])])  # fmt: skip
    assert torch.equal(draws.fill(torch.empty(2, pixels), key), expected)
    assert torch.equal(draws.by_torch(key, pixels, torch.arange(2)), expected)


def test_rows_by_themselves():
    whole = draws.fill(torch.empty(12, 30), 99)
    assert torch.equal(draws.fill(torch.empty(3, 30), 99, start=4), whole[4:7])
    assert torch.equal(draws.fill(torch.empty(3, 30), 99, start=1, step=4), whole[1::4])
    apart = torch.zeros(3, 2, 30)
    draws.fill(apart[:, 1], 99)
    assert torch.equal(apart[:, 1], whole[:3])
    assert apart[:, 0].count_nonzero() == 0


def test_they_are_uniform():
    drawn = draws.fill(torch.empty(100, 10000), 5).flatten().double()
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = torch.histc(drawn, 50, 0, 1)
    assert ((counts - 20000).square() / 20000).sum() < 85.4  # chi² with 49 degrees of freedom, 0.1 %
    assert abs(torch.corrcoef(torch.stack([drawn[:-1], drawn[1:]]))[0, 1]) < 0.004  # four standard errors
