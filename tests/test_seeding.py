"""Seeds of random draws, by hand: kept results rest on them."""

import hashlib

import pytest
import torch

from lasnn import seeding


@pytest.mark.parametrize(("words", "text"), [((0, "shuffle", 3), b"0/shuffle/3"), ((), b""), ((1, 1), b"1/1")])
def test_a_key_is_the_first_63_bits_of_the_digest_of_its_words(words, text):
    """SHA-256 of the words, joined by a slash so that (1, 1) and (11) differ, shifted by the sign's bit."""
    expected = int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1
    assert seeding.key(*words) == expected < 2**63
    assert seeding.key(11) != seeding.key(1, 1)
    assert seeding.generator(*words).initial_seed() == expected
    first, again = (torch.rand(3, generator=seeding.generator(*words)) for _ in range(2))
    assert torch.equal(first, again)
