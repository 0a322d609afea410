"""Configuration: YAML and dataclasses say the same."""

import re
import shutil
import tomllib
from pathlib import Path

import keras
import pytest

from tinypose.config import (
    Config,
    apply_overrides,
    find_config,
    load_config,
    save_config,
    shipped_configs,
)
from tinypose.errors import TinyposeError, UsageError

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
CONFIGS_BY_NAME = {path.stem: path for path in CONFIGS}


def test_there_are_configs() -> None:
    assert CONFIGS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_shipped_configs_are_whole(path: Path) -> None:
    import yaml

    value = yaml.safe_load(path.read_text())
    # Whole: nothing is left to a default that may change.
    assert value == load_config(path).to_dict()


@pytest.mark.parametrize(
    "name", ["small_finetune", "small_finetune.yaml", "configs/small_finetune.yaml"]
)
def test_a_configuration_that_comes_along_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(name).read_text() == CONFIGS_BY_NAME[Path(name).stem].read_text()
    # A folder of that name, such as a run's, is none; a file is.
    own = tmp_path / name
    own.mkdir(parents=True)
    assert find_config(name).is_file()
    own.rmdir()
    own.write_text("family: deeppose\n")
    assert find_config(name) == Path(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("small_finetun", "; did you mean 'small_finetune'?"), ("runs/small.yaml", "")],
)
def test_a_configuration_that_is_nowhere(name: str, hint: str) -> None:
    message = rf"one of .*nano, .*found no such file{re.escape(hint)}$"
    with pytest.raises(TinyposeError, match=message):
        find_config(name)


def test_a_wheel_has_the_configurations_where_they_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    (folder,) = [
        tmp_path / place
        for source, place in wheel["force-include"].items()
        if ROOT / source == CONFIGS[0].parent
    ]
    shutil.copytree(CONFIGS[0].parent, folder)
    monkeypatch.setattr("tinypose.config.__file__", f"{tmp_path}/tinypose/config.py")
    assert shipped_configs() == {p.stem: folder / p.name for p in CONFIGS}


def test_yaml_round_trip(tmp_path: Path) -> None:
    config = apply_overrides(
        {}, ["model.input_hw=[96, 64]", "training.epochs=3", "padding=1.5"], "test"
    )
    save_config(tmp_path / "c.yaml", config)
    assert load_config(tmp_path / "c.yaml") == config
    assert config.model.input_hw == (96, 64)
    assert config.training.epochs == 3


def test_override_beats_file_beats_default(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("training: {epochs: 7, batch_size: 5}\n")
    config = load_config(tmp_path / "c.yaml", ["training.epochs=2"])
    assert config.training.epochs == 2
    assert config.training.batch_size == 5
    assert config.training.optimizer == "adamw"


def test_an_empty_section_takes_a_value(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("augment:\ntraining:\n  epochs: 7\n")
    config = load_config(tmp_path / "c.yaml", ["augment.rotation_degrees=10"])
    assert (config.augment.rotation_degrees, config.training.epochs) == (10, 7)


def test_what_an_override_changes_stays_as_it_was() -> None:
    value = {"training": {"epochs": 7}}
    apply_overrides(value, ["training.epochs=2"], "test")
    assert value == {"training": {"epochs": 7}}


def test_the_largest_seed_is_one_for_keras() -> None:
    config = apply_overrides({}, ["training.seed=4294967295"], "test")
    keras.utils.set_random_seed(config.training.seed)


def test_numbers_without_a_dot_are_numbers() -> None:
    config = apply_overrides({}, ["training.learning_rate=1e-3"], "test")
    assert config.training.learning_rate == 0.001
    assert apply_overrides({}, ["training.ema=0"], "t").training.ema == 0.0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "training.epoch=3",
            "unknown key training.epoch; did you mean 'training.epochs'",
        ),
        ("trainin.epochs=3", "unknown key trainin; did you mean 'training'"),
        ("training.epochs=many", "training.epochs: expected int, found 'many'"),
        ("training.epochs=1.5", "training.epochs: expected int, found 1.5"),
        ("training.epochs=true", "expected int, found True"),
        ("training.epochs=0", "expected at least 1"),
        ("training.optimizer=adamm", "did you mean 'adam"),
        ("training.ema=1", "below 1"),
        ("training=3", "expected keys under 'training'"),
        ("training.epochs", "expected KEY=VALUE"),
        ("training.epochs.more=3", "holds no keys"),
        ("augment.scale_range=[2, 1]", "low <= high"),
        ("augment.scale_range=[1]", "expected a list [float, float]"),
        ("augment.flip_probability=2", "expected 0 to 1"),
        ("model.input_hw=[100, 64]", "divide by 4 * 2**depth = 32"),
        ("model.channels=0", "expected at least 1"),
        ("family=tiny_hourglas", "did you mean 'tiny_hourglass'"),
        ("padding=0.5", "padding: expected at least 1"),
        ("padding=.nan", "padding: expected a finite number"),
        ("training.learning_rate=.inf", "expected a finite number"),
        ("training.learning_rate=1e999", "expected a finite number"),
        ("training.seed=-1", "training.seed: expected at least 0"),
        ("training.seed=4294967296", "training.seed: expected at most 4294967295"),
        ("model.sigma_cells=0.0001", "sigma_cells: expected at least 0.001, found"),
        ("training.first_sizes=3", "expected a list of a list [int, int, int], found"),
        ("augment.fills=black", "expected a list of str, found 'black'"),
        (f"padding={'9' * 400}", "padding: expected a finite number"),
        (f"padding={'9' * 5000}", "not a YAML value"),
        ("training={seed: 1, seed: 2}", "not a YAML value"),
        ("training.warmup_steps=-5", "expected at least 0"),
        ("training.clip_norm=-1", "expected at least 0"),
        ("augment.contrast=5", "augment.contrast: expected 0 to 1"),
        ("augment.rotation_degrees=-3", "expected 0 to 180"),
    ],
)
def test_wrong_values_get_one_line(override: str, message: str) -> None:
    value: dict = {"training": {"epochs": 3}}
    with pytest.raises(UsageError) as caught:
        apply_overrides(value, [override], "c.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("deeppose", "expected none for deeppose, whose dense layers take pictures of"),
        ("deeppose_cascade", "expected the same multiple of both sides"),
    ],
)
def test_sizes_that_dense_layers_do_not_fit_are_refused(family, message) -> None:
    overrides = [f"family={family}", "training.first_sizes=[[8, 64, 64]]"]
    with pytest.raises(UsageError, match=rf"training.first_sizes: .*{message}"):
        apply_overrides({}, overrides, "c.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "expected keys and values"),
        ("a: [", "does not parse"),
        ("a: !!python/object/apply:os.getcwd []", "does not parse"),
        ("training:\n  epochs: 3\naugment:\ntraining:\n", "'training' .*line 4"),
        ("training: {epochs: 3, epochs: 3}\n", "'epochs' twice.*line 1"),
    ],
)
def test_wrong_files_get_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(TinyposeError, match=message):
        load_config(tmp_path / "c.yaml")


def test_defaults_are_valid() -> None:
    assert Config.from_dict(Config().to_dict()) == Config()
