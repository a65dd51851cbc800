"""False verdicts where nothing differs: the rule in use stays near its level, the one before does not."""

import numpy as np
import pytest

from benchmarks.false_verdicts import (
    DIFFERING,
    Setting,
    differences,
    p_over_images,
    p_over_seeds_and_images,
    page,
    rates,
)


def test_draws_have_the_spread_that_they_are_asked_for():
    """Of 40 seeds on 5,000 images; sd of a seed's mean: its own 2 points and the images' 100 sqrt(q / N)."""
    d = differences(np.random.default_rng(0), 40, 5000, 2.0)
    assert set(np.unique(d)) == {-1, 0, 1}
    assert np.mean(d != 0) == pytest.approx(DIFFERING, abs=0.003)
    of_seeds = 100 * d.mean(axis=1)
    assert of_seeds.mean() == pytest.approx(0, abs=1.2)  # 3.5 standard errors
    assert of_seeds.std(ddof=1) == pytest.approx(np.sqrt(2.0**2 + 1e4 * DIFFERING / 5000), rel=0.25)
    rest = 100 * (d - d.mean(axis=1, keepdims=True))
    assert 40 * rest.mean(axis=0).var() > 1.5 * rest.var()  # images lean: more than 40 independent seeds would leave


def test_five_seeds_over_seeds_and_images_stay_near_five_percent():
    """2,000 draws: 5 % has a standard error of 0.5; over the seeds alone image noise would make it 6 to 9."""
    for seed_sd, images in ((2.0, 2000), (0.45, 2000)):
        found = rates(Setting("", p_over_seeds_and_images, 5, images, seed_sd))
        assert 2 < found.single < 7
        assert found.family < 8


def test_three_seeds_image_by_image_judge_falsely_in_a_fifth_of_cases():
    found = rates(Setting("", p_over_images, 3, 2000, 2.0), draws=600)
    assert found.single > 15
    assert found.family > 30
    for p_of in (p_over_images, p_over_seeds_and_images):  # images alone are no false verdict of either rule
        assert rates(Setting("", p_of, 5, 500, 0.0), draws=600).single < 6.5


def test_the_page_has_a_line_for_each_setting():
    head, *lines = page(draws=6).splitlines()
    assert "false verdicts" in head
    assert [line.split()[-5:-4] for line in lines] == [["1.7"], ["2.4"], ["0.45"], ["1.7"], ["2.4"]]
