"""Training that sets weights to zero: it learns, keeps them, can be resumed."""

import keras
import numpy as np
import pytest

from helpers.runs import assert_equal_runs, stop_after, train, with_values
from tinypose.compression.sparsity import SparseKernels, first_and_last
from tinypose.errors import UsageError
from tinypose.training.run_dir import HISTORY_COLUMNS, RunDir


@pytest.fixture(scope="module")
def conv_config(conv_config):
    return with_values(conv_config, "training.sparsity=0.75")


def share_of_zeros(run) -> float:
    """Return the sparsity of the kernels that are not at the network's ends."""
    net = keras.models.load_model(RunDir(run).best)
    kernels = [
        layer.kernel.numpy()
        for layer in net.layers
        if isinstance(layer, keras.layers.Conv2D)
        and not isinstance(layer, keras.layers.DepthwiseConv2D)
        and layer.name not in first_and_last(net)
    ]
    assert len(kernels) >= 4
    return float(np.mean(np.concatenate([k.ravel() == 0 for k in kernels])))


def test_it_learns_with_a_quarter_of_the_weights(conv_config, dots, tmp_path):
    config = with_values(conv_config, "training.epochs=24", "training.validate_every=6")
    progress = train(config, dots, tmp_path / "run")
    # Guessing is right in about 15 %.
    assert progress.best > 80
    # What is served are averages over steps with fewer zeros, too.
    assert share_of_zeros(tmp_path / "run") == pytest.approx(0.75, abs=0.002)


def test_jax_is_refused(conv_config, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UsageError, match="found JAX, which cannot change masks"):
        SparseKernels(keras.Sequential())


def test_zeros_come_over_the_first_half_of_the_epochs(conv_config, dots, tmp_path):
    config = with_values(
        conv_config, "training.epochs=4", "training.checkpoint_seconds=0"
    )
    found = []

    def look() -> bool:
        """Note how many weights are masked at each saved step."""
        if RunDir(tmp_path / "run").checkpoint.exists():
            arrays, progress = RunDir(tmp_path / "run").load_checkpoint()
            masks = [v.ravel() for k, v in arrays.items() if k.startswith("masks")]
            if progress.step:
                found.append((progress.epoch, 1 - np.mean(np.concatenate(masks))))
        return False

    progress = train(config, dots, tmp_path / "run", should_stop=look)
    # A cubic curve: 0.75 * (1 - 1/8) after half of the rise.
    expected = [0.65625, 0.75, 0.75, 0.75]
    assert {epoch for epoch, _ in found} == {0, 1, 2, 3}
    for epoch, share in found:
        assert share == pytest.approx(expected[epoch], abs=0.002)
    pck = [row[HISTORY_COLUMNS.index("pck")] for row in progress.history]
    assert progress.best == max(pck[1:])
    assert share_of_zeros(tmp_path / "run") == pytest.approx(0.75, abs=0.002)


def test_what_was_best_with_fewer_zeros_is_not_kept(conv_config, dots, tmp_path):
    config = with_values(conv_config, "training.epochs=4")
    with pytest.raises(KeyboardInterrupt):
        # The fifth step is followed by the last of the first epoch.
        train(config, dots, tmp_path / "run", should_stop=stop_after(4))
    arrays, progress = RunDir(tmp_path / "run").load_checkpoint()
    assert (progress.epoch, progress.step) == (0, 5)
    # As if an earlier epoch had been very good.
    progress.best = 101.0
    RunDir(tmp_path / "run").save_checkpoint(arrays, progress)
    progress = train(config, dots, tmp_path / "run")
    assert progress.best < 101


def test_interrupted_and_resumed_equals_uninterrupted(conv_config, dots, tmp_path):
    # More weights become zero after the interruption.
    config = with_values(conv_config, "training.epochs=4")
    train(config, dots, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(config, dots, tmp_path / "parts", should_stop=stop_after(3))
    train(config, dots, tmp_path / "parts")
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")


def test_other_shares_are_refused(conv_config):
    for value in ("1.0", "-0.1"):
        with pytest.raises(UsageError, match="sparsity: expected 0 or more and below"):
            with_values(conv_config, f"training.sparsity={value}")
