"""Everything that the plan can know is said when it is read, in one line, before any job."""

import re
import sys
from pathlib import Path

import pytest
from tiny import committed, config_with, message_of, write_yaml

from lasnn.errors import InputError
from lasnn.pipeline.workflow import check_places, check_plan, configured, typed
from lasnn.plan.config import read
from lasnn.plan.overlays import checked, parsed, understood, written
from lasnn.plan.own import check_overrides
from lasnn.plan.runs import SnnRun
from lasnn.plan.settings import Training

WHOLE = committed()


@pytest.fixture(autouse=True)
def called(monkeypatch):
    """The command line of Snakemake, whose options are read, in place of the tests' own."""
    monkeypatch.setattr(sys, "argv", ["snakemake"])


OWN = {"folder": "somewhere", "side": 16}


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ({"presets": {"quik": {"student": {"epochs": 1}}}}, "did you mean 'quick'"),
        ({"presets": {"smal": {}}}, "did you mean 'small'"),
        ({"variants": {"lek_1": {"spiking": {"leak": 1.0}}}}, "did you mean 'leak_1'"),
        ({"datasets": {"bird": {"side": 32}}}, "did you mean 'birds'"),
    ],
)
def test_a_misspelt_name_of_the_command_line_is_refused(given, near):
    assert near in message_of(check_overrides, given, WHOLE | {"datasets": {"birds": OWN}}, ["tables"])


def test_a_new_name_that_another_value_uses_is_taken_in_any_order():
    """A scope's ablation, corner or dataset, a preset that is like it; not a setting of the same name."""
    scope = {"datasets": {"cifar10": "birds"}, "ablations": ["hybrid+lr_2__leak_1"], "corners": {"lr_3": {}}}
    given = {
        "presets": {"quick": {"scope": scope, "like": "mine"}, "mine": {}},
        "datasets": {"birds": OWN},
        "variants": {"lr_2": {}, "lr_3": {}},
    }
    check_overrides(given, WHOLE, ["tables"])
    check_overrides(dict(reversed(given.items())), WHOLE, ["tables"])
    quick = {"spiking": {"leak": 1.0}, "scope": {"ablations": ["hybrid+leak_1"]}}
    given = {"presets": {"quick": quick}, "variants": {"lr": {"student": {"lr": 1}}}}
    assert "unknown variant in --config variants 'lr'" in message_of(check_overrides, given, WHOLE, ["tables"])


def test_a_new_name_that_is_asked_for_is_taken():
    variant = "results/quick/snn/digits/vgg5/hybrid/poisson-T10/none/lr_2/s0/model.pt"
    check_overrides({"presets": {"quick": {"student": {"epochs": 1}}}}, WHOLE, ["tables"])
    check_overrides({"preset": "mine", "presets": {"mine": {}}}, WHOLE, ["tables"])
    check_overrides({"presets": {"mine": {}}}, WHOLE, ["results/mine/exhibits/table2.csv"])
    check_overrides({"datasets": {"birds": OWN}}, WHOLE, ["data/birds.npz"])
    check_overrides({"variants": {"lr_2": {}}}, WHOLE, [variant])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("1e-05", 1e-5), ("1E-3", 1e-3), (".5", 0.5), ("5.", 5.0), ("1e1", 10), ("0xA", 10), ("0o12", 10), ("+10", 10)],
)
def test_a_number_in_any_spelling_of_yaml_1_2_is_one(typed, meant):
    """Snakemake's YAML 1.1 takes 1e-05 for a word; ten epochs may be typed as 1e1 and in other bases."""
    found = understood(typed)
    assert found == meant
    assert type(found) is type(meant)


WORDS = ("fast", "1e", "1e400", "1 000", "nan", ".inf", "'0.1'", "off", "2020-10-10")


@pytest.mark.parametrize(("key", "typed"), [*(("lr", word) for word in WORDS), ("epochs", "15e-1")])
def test_a_word_is_no_number_and_half_an_epoch_is_none(key, typed):
    """One line for what can't be a learning rate, infinity and words in quotes among it."""
    student = WHOLE["protocol"]["student"] | {key: understood(typed)}
    assert message_of(checked, Training, student, "student").startswith(f"student: {key} is")


@pytest.mark.parametrize("word", ["off", "on", "yes", "no", "y", "2020-10-10", "2001-12-14 21:59:43", "1:30"])
def test_a_word_of_yaml_1_2_is_a_word(word):
    """Booleans, days and sixties of YAML 1.1: a folder may be called like a day, `amp: off` needs no quotes."""
    assert understood(f"a: {word}") == {"a": word}
    assert typed({"mirror": {"cifar10": word}}) == {"mirror": {"cifar10": word}}


def test_command_line_and_files_lie_over_one_another(tmp_path):
    """`--config` over the later file over the earlier one, mapping by mapping, each read as YAML 1.2."""
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("preset: quick\npresets: {quick: {student: {lr: 1e-05, epochs: 1}}}\n")
    two.write_text("presets: {quick: {student: {epochs: 2}, compute: {amp: off}}}\n")
    quick = {"student": {"lr": 1e-5, "epochs": 2}, "compute": {"amp": "off"}, "teacher": {"lr": 1e-3}}
    found = configured([one, two], {"presets": {"quick": {"teacher": {"lr": "1e-3"}}}})
    assert found == {"preset": "quick", "presets": {"quick": quick}}
    with pytest.raises(InputError, match="did you mean 'quick'"):  # misspelt, no new one
        configured([one], {"presets": {"quik": {}}})


@pytest.mark.parametrize(
    ("spelt", "meant"), [("results/", "results"), ("./r//x/", "r/x"), ("my results", "my results"), ("é/ü", "é/ü")]
)
def test_folders_are_spelt_as_rules_spell_paths(spelt, meant):
    assert config_with(folders={"results": spelt}).file.folders.results == meant
    assert config_with(folders={"results": spelt}).locate(f"{meant}/quick/ann/digits/vgg5/base/s0")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "run from the folder"),
        (Path.mkdir, "config.yaml"),
        (lambda path: path.symlink_to("nowhere"), "config.yaml"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "config.yaml"),
        (lambda path: path.write_text("\n# nothing\n"), "config.yaml"),
        (lambda path: path.write_text("just words"), "a mapping of keys was expected"),
        (lambda path: path.write_text("preset: [quick"), "not YAML: .*line 1: expected ',' or ']'"),
        (lambda path: path.write_text("preset: quick\npreset: paper\n"), 'line 2: found duplicate key "preset"'),
        (lambda path: path.write_text("a: &one {x: 1}\nb: {<<: *one, y: 3, y: 4}"), 'line 2: found duplicate key "y"'),
        (lambda path: path.write_text("\x00"), "special characters are not allowed"),
    ],
)
def test_an_unusable_configuration_is_one_line(tmp_path, make, said):
    make(tmp_path / "config.yaml")
    assert re.search(said, message_of(read, tmp_path / "config.yaml"))


def test_what_is_written_is_read_back():
    """Words that look like numbers, as a digest may, keep their quotes."""
    content = {"file": "1e5", "sha256": "12e4", "mean": [0.5, 1e-05, 1.0], "off": "off", "none": None}
    assert understood(written(content)) == content


def test_what_is_done_to_a_reading_does_not_reach_the_next(tmp_path):
    """The same text twice, then another one in the same file."""
    path = tmp_path / "config.yaml"
    path.write_text("a: {b: [1, 2]}")
    parsed(path)["a"]["b"].append(3)
    assert parsed(path) == {"a": {"b": [1, 2]}}
    path.write_text("a: 4")
    assert parsed(path) == {"a": 4}


@pytest.mark.parametrize("place", ["results", "data", "results/quick"])
def test_a_link_out_of_the_folder_is_refused(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scratch").mkdir()
    home = tmp_path / "home"
    (home / place).parent.mkdir(parents=True)
    monkeypatch.chdir(home)
    check_places(config_with(), ["quick"])
    (home / place).symlink_to(tmp_path / "scratch")
    with pytest.raises(InputError, match=f"^{place} is a link out of this folder"):
        check_places(config_with(), ["quick"])
    check_places(config_with(folders={"results": str(tmp_path / "scratch"), "data": str(tmp_path)}), ["quick"])


def test_what_could_only_fail_in_a_job_is_refused_before_any():
    """Images at whose side maps can't be compared, a window above T, nothing to train on."""

    def refused(preset, runs=(), **more):
        config = config_with(presets={"quick": preset}, **more)
        return message_of(check_plan, config, ["quick"], [f"results/quick/{run}/model.pt" for run in runs])

    pairs = [("conv3fc2", "vgg16bn"), ("vgg5", "densenet121")]
    runs = [f"snn/birds/{student}/lasnn_act/poisson-T10/{teacher}/base/s0" for student, teacher in pairs]
    for side in (9, 48):
        birds, scope = {"folder": "birds", "side": side}, {"datasets": {"cifar10": "birds"}}
        said = refused({"scope": scope}, runs, datasets={"birds": birds})
        assert re.search(rf"on images of {side}x{side}: taps: no layer is left .* has them at sides that", said)
    said = refused({"spike_kd": {"window": 11}, "scope": {"methods": ["kd_spike"]}})
    assert "spike_kd.window is 11" in said
    for images in (1, 200):
        said = refused({"data": {"assess": "held_out", "held_out": 200, "train_images": images}})
        assert "leaves none to train on" in said
    check_plan(read(), ["quick", "small", "paper"], [])


def test_a_preset_is_a_file_that_may_be_like_another(tmp_path):
    """Sections of another preset key by key, a key with all that it holds; config.yaml is laid over a file."""
    (tmp_path / "config" / "presets").mkdir(parents=True)
    files = {"first": "student: {lr: 0.5, epochs: 7}\nscope: {own: {hybrid: leak_1}, seeds: [4]}"}
    files["second"] = "like: first\nstudent: {epochs: 3}\nscope: {own: {}}"
    for name, text in files.items():
        (tmp_path / "config" / "presets" / f"{name}.yaml").write_text(text)
    protocol = {key: value for key, value in WHOLE.items() if key != "presets"} | {"preset": "second"}
    for more, rate in (({}, 0.5), ({"presets": {"second": {"student": {"lr": 0.25}}}}, 0.25)):
        write_yaml(tmp_path / "config.yaml", protocol | more)
        preset = read(tmp_path / "config.yaml").preset()
        found = preset.settings(SnnRun("digits", "vgg5", "hybrid", "poisson", 10)).training
        assert (found.lr, found.epochs) == (rate, 3)
        assert (preset.scope.own, preset.scope.seeds) == ({}, (4,))
