"""Figure 6 from written metrics and journals, by hand."""

import pytest
from made_up import finish, preset_in

from lasnn.report import EXHIBITS
from lasnn.report.exhibits.printed import ACCURACY, EQUAL, SIMILAR, first_reaching

# Test accuracy and rates of two layers (30 and 10 neurons) after each epoch; T as in the preset.
EPOCHS = {
    ("poisson", 10): [(70, 0.1, 0.2), (80, 0.2, 0.2), (95, 0.3, 0.5)],
    ("direct", 8): [(79, 0.5, 0.5), (79.8, 0.25, 0.5), (90, 0.5, 0.5)],
    ("direct", 4): [(60, 0.5, 0.5), (79, 0.5, 0.5), (80, 0.5, 0.25)],
}
NEURONS = {"c1": 30, "f1": 10}


def test_first_reaching():
    assert first_reaching([50, 80, 70, 90], 70) == 2
    assert first_reaching([50, 80], 50) == 1
    assert first_reaching([90, 80], 79.7) == 1


@pytest.fixture
def preset(tmp_path):
    found = preset_in(tmp_path, {"students": ["vgg5"]})
    for run in EXHIBITS["figure6"].runs(found):
        epochs = EPOCHS[run.encoder, run.steps]
        last = dict(zip(NEURONS, epochs[-1][1:], strict=True))
        spikes = {
            name: {"neurons": count, "images": 20, "total": round(20 * count * last[name] * run.steps)}
            for name, count in NEURONS.items()
        }
        log = [{"test_accuracy": at, "rates": {"c1": c1, "f1": f1}} for at, c1, f1 in epochs]
        finish(found, run, epochs[-1][0], log=log, spikes=spikes)
    return found


def test_both_protocols_by_hand(preset):
    ran = EXHIBITS["figure6"].tidy(preset).query("n > 0").set_index(["panel", "encoding", "ran_steps"]).sort_index()
    assert ran.loc[ACCURACY]["ours"].to_dict() == {("poisson", 10): 95, ("direct", 8): 90, ("direct", 4): 80}
    # T (30 r1 + 10 r2) / 40 with the rates of the last epoch: 10 · 14 / 40, 8 · 20 / 40, 4 · 17.5 / 40.
    equal = {("poisson", 10): 3.5, ("direct", 8): 4, ("direct", 4): 1.75}
    assert ran.loc[EQUAL]["ours"].to_dict() == pytest.approx(equal)
    # The weakest ends at 80, so 79.7 is near: epochs 2, 2 and 3. 10 · 8 / 40, 8 · 12.5 / 40, 4 · 17.5 / 40.
    similar = {("poisson", 10): 2, ("direct", 8): 2.5, ("direct", 4): 1.75}
    assert ran.loc[SIMILAR]["ours"].to_dict() == pytest.approx(similar)
    assert ran.loc[SIMILAR]["epoch"].to_dict() == {("poisson", 10): 2, ("direct", 8): 2, ("direct", 4): 3}
    notes = EXHIBITS["figure6"].notes(EXHIBITS["figure6"].tidy(preset), preset)
    assert "here epochs VGG5 2 (80.0 %), 2 (79.8 %), 3 (80.0 %)." in " ".join(notes)


def test_printed_numbers_stand_where_the_paper_has_them(preset):
    tidy = EXHIBITS["figure6"].tidy(preset)
    vgg5 = tidy[tidy["student"] == "VGG5"]
    assert vgg5[(vgg5["panel"] == SIMILAR) & (vgg5["encoding"] == "poisson")]["paper"].tolist() == [111.25]
    assert vgg5[(vgg5["panel"] == ACCURACY) & (vgg5["encoding"] == "direct")]["paper"].tolist() == [88.55, 88.55]
    assert vgg5[vgg5["panel"] == EQUAL]["paper"].isna().all()
