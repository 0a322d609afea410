"""Training on several devices: two logical CPUs stand in for two GPUs."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
from tinypose.config import apply_overrides
from tinypose.data.crops import CropDataset
from tinypose.data.sources import load_data
from tinypose.skeletons import LSP
from tinypose.training.display import Display
from tinypose.training.run_dir import RunDir
from tinypose.training.job import TrainingJob
from tinypose.training.train import run_training

config = apply_overrides({}, json.loads(sys.argv[1]), "test")
people = CropDataset(load_data(["stick_people:1-32"], LSP), config.model.input_hw)
results = []
for number in (1, 2):
    devices = [f"CPU:{i}" for i in range(number)]
    strategy = tf.distribute.MirroredStrategy(devices) if number > 1 else None
    job = TrainingJob(
        config=config, run_dir=RunDir(f"{sys.argv[2]}/{number}"), training=people
    )
    progress = run_training(job, Display(quiet=True), strategy)
    results.append([row[2] for row in progress.history])
print(json.dumps(results))
"""

OVERRIDES = [
    "model.input_hw=[32, 32]",
    "model.channels=8",
    "model.depth=1",
    "training.batch_size=16",
    "training.epochs=6",
    "training.warmup_steps=0",
    "training.learning_rate=0.01",
]


@pytest.mark.slow
def test_two_devices_learn_like_one(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(OVERRIDES), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = json.loads(done.stdout.splitlines()[-1])
    # The loss is that of the whole batch, not of a device's half. Batch norm
    # sees halves, so the losses differ a little once weights have moved.
    assert two[0] == pytest.approx(one[0], rel=0.05)
    assert two[-1] == pytest.approx(one[-1], rel=0.15)
    assert two[-1] < 0.95 * two[0]
