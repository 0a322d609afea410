"""``tinypose prune``: a run in, a smaller run out."""

import json
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest

from helpers.families import SMALL
from tinypose.cli.main import main
from tinypose.cli.prune import parse_target
from tinypose.cli.prune_job import PruneJob
from tinypose.cli.prune_record import training_record
from tinypose.cli.prune_target import Target, measurer
from tinypose.compression.sparsity import measure_sparsity
from tinypose.config import apply_overrides, save_config
from tinypose.data.coco_writer import write_coco
from tinypose.data.stick_people import stick_people
from tinypose.errors import UsageError
from tinypose.export.wrapper import load_net
from tinypose.files import file_sha256
from tinypose.images import write_image
from tinypose.inference.predictor import Predictor
from tinypose.metadata import Metadata, read_metadata, write_metadata
from tinypose.models import FAMILIES
from tinypose.models.cost import count_macs
from tinypose.origin import Origin
from tinypose.skeletons import Skeleton
from tinypose.training import device
from tinypose.training.run_dir import Progress, RunDir

OVERRIDES = [
    "family=conv_hourglass",
    "skeleton=ai_challenger",
    "model={input_hw: [64, 48], num_keypoints: 14, stem_channels: 12, "
    "channels: [16, 24], encoder_blocks: [0, 1], decoder_convs: [1]}",
    "training.batch_size=8",
    "training.epochs=2",
    "training.warmup_steps=4",
]


def tinypose(capsys, *arguments):
    """Return the exit code, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return stop.value.code, output.out, output.err


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    save_config(folder / "config.yaml", apply_overrides({}, OVERRIDES, "test"))
    with pytest.raises(SystemExit) as stop:
        main(
            [
                *("train", str(folder / "config.yaml"), "--out", str(folder / "run")),
                *("--data", "stick_people:1-64", "--val", "stick_people:65-72"),
                "--quiet",
            ]
        )
    assert stop.value.code == 0
    return folder / "run"


@pytest.mark.slow
def test_a_smaller_run_trains_exports_and_predicts(run, tmp_path, capsys):
    before, _ = load_net(RunDir(run).best)
    target = 0.4 * count_macs(before)
    out = tmp_path / "pruned"
    command = ["prune", run, "--target", f"macs={target:.0f}", "--out", out]
    command += ["--epochs", 2, "--rounds", 2]
    code, text, err = tinypose(capsys, *command)
    assert code == 0, err
    assert text.count("multiply-accumulates") == 2 and "trained 2 epochs" in text
    net, metadata = load_net(RunDir(out).best)
    assert 0.3 * count_macs(before) < count_macs(net) <= target
    # A round in the middle: as far from the start as from the end.
    report = json.loads((out / "round_1" / "prune.json").read_text())
    assert report["macs"][1] <= report["target"]["macs"] < 0.65 * count_macs(before)
    assert metadata.macs == count_macs(net)
    assert metadata.training_data == ("stick_people 1-64",)
    assert {layer.name for layer in net.layers} == {
        layer.name for layer in before.layers
    }
    history = (out / "history.csv").read_text().splitlines()
    assert len(history) == 3
    rate = read_metadata(RunDir(out).best).config["training"]["learning_rate"]
    assert rate == pytest.approx(0.3 * 2e-3)
    # Trained, not only cut: its weights differ from those that it began with.
    cut, _ = load_net(RunDir(out).network)
    assert not np.array_equal(cut.get_weights()[0], net.get_weights()[0])

    # All is done: the same command trains nothing more.
    stamp = RunDir(out).checkpoint.stat().st_mtime_ns
    code, _, _ = tinypose(capsys, *command)
    assert code == 0 and RunDir(out).checkpoint.stat().st_mtime_ns == stamp

    # What was interrupted goes on.
    RunDir(out).checkpoint.unlink()
    code, text, _ = tinypose(capsys, "train", "--resume", out)
    assert code == 0 and "trained 2 epochs" in text

    file = tmp_path / "pruned.tflite"
    code, _, err = tinypose(
        capsys,
        "export",
        out,
        "--to",
        file,
        "--precision",
        "int8",
        "--data",
        "stick_people:1-4",
    )
    assert code == 0, err
    pose = Predictor(file)(np.full((90, 60, 3), 128, np.uint8))
    assert pose.keypoints_xy.shape == (14, 2)


@pytest.fixture(scope="module")
def pruned(run, tmp_path_factory):
    """A run of half the parameters."""
    out = tmp_path_factory.mktemp("pruned") / "thin"
    before, _ = load_net(RunDir(run).best)
    command = ["prune", run, "--target", f"parameters={before.count_params() // 2}"]
    command += ["--rounds", 1, "--epochs", 1, "--importance", "magnitude", "--quiet"]
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in (*command, "--out", out)])
    assert stop.value.code == 0
    return out


def tuning(pruned, out, *options):
    """Return the command that trains a pruned run on."""
    data = ["--data", "stick_people:1-16", "--val", "stick_people:65-72"]
    start = ["train", RunDir(pruned).config, *data, "--init", pruned, "--out", out]
    return [*start, "--set", "training.epochs=1", *options]


def shapes(path):
    return [weight.shape for weight in load_net(path)[0].get_weights()]


def test_a_pruned_run_is_trained_on_as_it_is(run, pruned, tmp_path, capsys):
    code, text, err = tinypose(capsys, *tuning(pruned, tmp_path / "tuned"))
    assert code == 0, err
    assert f"{pruned}/best.kerasistrainedonasitis" in "".join((text + err).split())
    best, files = RunDir(pruned).best, RunDir(tmp_path / "tuned")
    assert shapes(files.best) == shapes(best) != shapes(RunDir(run).best)
    # It began with the weights that pruning ended with, and with nothing else.
    begun, ended = load_net(files.network)[0], load_net(best)[0]
    for mine, theirs in zip(begun.get_weights(), ended.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert [origin.name for origin in read_metadata(files.best).origins] == ["thin"]


@pytest.mark.slow
def test_a_pruned_run_imitates_eight_bits_resumes_and_exports(pruned, tmp_path, capsys):
    tuned, again = tmp_path / "tuned", tmp_path / "again"
    command = tuning(pruned, tuned, "--set", "training.imitate_int8=true", "--quiet")
    code, _, err = tinypose(capsys, *command)
    assert code == 0, err
    # It goes on by itself, also from before its first checkpoint.
    RunDir(tuned).checkpoint.unlink()
    resume = ["train", "--resume", tuned, "--set", "training.epochs=2"]
    code, text, err = tinypose(capsys, *resume)
    assert code == 0 and "trained 2 epochs" in text, err
    # And so does what is made from it.
    code, _, err = tinypose(capsys, *tuning(tuned, again, "--quiet"))
    assert code == 0, err
    for folder in (tuned, again):
        assert shapes(RunDir(folder).best) == shapes(RunDir(pruned).best)
    file = tmp_path / "tuned.tflite"
    export = ["export", again, "--to", file, "--precision", "int8"]
    code, _, err = tinypose(capsys, *export, "--data", "stick_people:1-4")
    assert code == 0, err
    pose = Predictor(file)(np.zeros((90, 60, 3), np.uint8))
    assert pose.keypoints_xy.shape == (14, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("family=tiny_hourglass", "expected family conv_hourglass, found tiny_hourgla"),
        ("skeleton=lsp", "expected its keypoints, "),
        ("model.channels=[16, 32]", "model.channels [16, 24], found [16, 32]"),
        ("model.input_hw=[96, 96]", "model.input_hw [64, 48], found [96, 96]"),
        ("training.first_sizes=[[1, 32, 24]]", "no training.first_sizes, found [[1, 3"),
    ],
    ids=["family", "keypoints", "channels", "size", "sizes"],
)
def test_a_pruned_network_does_not_become_another(
    pruned, tmp_path, capsys, change, message
):
    command = tuning(pruned, tmp_path / "out", "--set", change)
    if change.startswith("family"):
        command += ["--set", "model={num_keypoints: 14, input_hw: [64, 64]}"]
    if change.startswith("training"):
        command += ["--set", "training.epochs=2"]
    code, _, err = tinypose(capsys, *command)
    assert code == 2 and "a pruned network is trained on as it is: " in err
    assert message in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_pruned_file_alone_does_not_grow_back(pruned, tmp_path, capsys):
    file = tmp_path / "copy.keras"
    shutil.copy(RunDir(pruned).best, file)
    command = tuning(pruned, tmp_path / "out", "--quiet")
    command[command.index(pruned)] = file
    code, _, err = tinypose(capsys, *command)
    assert code == 1 and "found a pruned one, whose channels would grow back" in err
    weights = tmp_path / "weights.npz"
    code, _, err = tinypose(capsys, "export", pruned, "--to", weights)
    assert code == 2 and "channels weights alone do not tell" in err
    assert not weights.exists()


def test_a_pruning_that_has_begun_is_no_new_folder(pruned, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(RunDir(pruned).network, RunDir(out).network)
    command = tuning(pruned, out)
    code, _, err = tinypose(capsys, *command)
    assert code == 2 and "found a pruned network that is not trained yet" in err


def test_of_zeros_another_network_begins_as_before(run, tmp_path, capsys):
    sparse = tmp_path / "sparse"
    command = ["prune", run, "--target", "sparsity=50%", "--out", sparse, "--quiet"]
    assert tinypose(capsys, *command, "--epochs", 1)[0] == 0
    wide = ["--set", "model.channels=[16, 32]", "--set", "training.sparsity=0"]
    command = tuning(sparse, tmp_path / "out", *wide)
    code, text, err = tinypose(capsys, *command)
    assert code == 0, err
    said = "".join((text + err).split())
    assert "ofthemwidened" in said
    assert "50%oftheweightsarezeroatfirst" in said
    assert not RunDir(tmp_path / "out").network.exists()


def test_single_weights_become_zero(run, tmp_path, capsys):
    out = tmp_path / "sparse"
    command = ["prune", run, "--target", "sparsity=80%", "--out", out, "--epochs", 2]
    code, text, err = tinypose(capsys, *command)
    assert code == 0, err
    assert "trained 2 epochs" in text
    before, _ = load_net(RunDir(run).best)
    net, metadata = load_net(RunDir(out).best)
    assert count_macs(net) == count_macs(before)
    assert measure_sparsity(before) == 0
    # Of all kernels, those of the first and last layer included.
    assert 0.7 < measure_sparsity(net) < 0.8
    training = metadata.config["training"]
    assert training["sparsity"] == 0.8
    assert metadata.training_data == ("stick_people 1-64",)
    assert training["learning_rate"] == pytest.approx(0.3 * 2e-3)
    # All is done: the same command trains nothing more.
    stamp = RunDir(out).checkpoint.stat().st_mtime_ns
    code, text, _ = tinypose(capsys, *command)
    assert code == 0 and f"{out}: trained already" in text
    assert RunDir(out).checkpoint.stat().st_mtime_ns == stamp
    # Another request is not taken for the same.
    command[3] = "sparsity=90%"
    code, _, err = tinypose(capsys, *command)
    assert code == 2 and "target: {'sparsity': 0.8}" in err and err.count("\n") == 1
    assert RunDir(out).checkpoint.stat().st_mtime_ns == stamp


def test_what_a_run_was_made_of_goes_on_with_it(run, tmp_path):
    small = Origin(name="small", training_data=("lsp",), licence="for research")
    tuned = tmp_path / "tuned"
    shutil.copytree(run, tuned)
    net, metadata = load_net(RunDir(run).best)
    RunDir(tuned).save_best(net, replace(metadata, origins=(small,)))
    assert training_record(tuned, None, None, None)["origins"] == [small.to_dict()]
    other = training_record(tuned, ["stick_people:9-12"], None, None)["origins"]
    itself = Origin(name="run", training_data=("stick_people 1-64",))
    assert other == [small.to_dict(), itself.to_dict()]


def test_a_pruned_run_learns_from_the_whole_one(run, tmp_path, capsys):
    out = tmp_path / "taught"
    before, _ = load_net(RunDir(run).best)
    command = ["prune", run, "--target", f"parameters={before.count_params() // 2}"]
    command += ["--rounds", 1, "--epochs", 1, "--importance", "magnitude"]
    command += ["--quiet", "--out", out]
    code, _, err = tinypose(capsys, *command, "--teacher", "medium")
    assert code == 2 and "--teacher medium: expected a run folder" in err
    assert not out.exists()
    code, _, err = tinypose(capsys, *command, "--teacher", run)
    assert code == 0, err
    record = RunDir(out).read_run()
    assert record["teacher"] == str(run)
    assert record["teacher_sha256"] == file_sha256(RunDir(run).best)
    # It is made of nothing that the run itself was not made of.
    assert read_metadata(RunDir(out).best).origins == ()
    assert training_record(run, None, None, None)["origins"] == []
    code, _, err = tinypose(capsys, *command)
    assert code == 2 and "repeat its --teacher" in err


def test_a_request_that_is_refused_leaves_nothing_behind(run, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["prune", run, "--target", "macs=1K", "--rounds", 1, "--out", out]
    command += ["--importance", "magnitude"]
    for typo, message in (
        (["--set", "training.epohcs=3"], "unknown key training.epohcs"),
        ([], "expected a target that pruning can reach"),
    ):
        code, _, err = tinypose(capsys, *command, *typo)
        assert code in (1, 2) and message in err
        assert not (out / "request.json").exists()


def test_a_run_is_not_pruned_into_itself_or_another(run, tmp_path, capsys):
    before = {file: file.read_bytes() for file in run.iterdir() if file.is_file()}
    for target in ("macs=1M", "sparsity=50%"):
        command = ["prune", run, "--target", target, "--out", run]
        code, _, err = tinypose(capsys, *command)
        assert code == 2 and "expected another folder than the run's own" in err
    other = tmp_path / "other"
    shutil.copytree(run, other)
    for target in ("macs=1M", "sparsity=50%"):
        command = ["prune", run, "--target", target, "--out", other]
        code, _, err = tinypose(capsys, *command)
        assert code == 2 and "found a run that this command did not make" in err
    for folder in (run, other):
        assert before == {
            run / file.name: file.read_bytes()
            for file in folder.iterdir()
            if file.is_file()
        }


def test_size_and_latency_are_measured_on_the_exported_file(run):
    net, metadata = load_net(RunDir(run).best)
    size = measurer(Target("size", 1))(net, metadata)
    begun = time.perf_counter()
    milliseconds = measurer(Target("latency", 1))(net, metadata)
    assert 10_000 < size < 200_000
    assert 0 < milliseconds < 1000 * (time.perf_counter() - begun)


@pytest.mark.parametrize("family", ["deeppose_cascade", "multi_resolution"])
def test_networks_with_windows_are_measured_in_eight_bits_of_weights(family):
    config = FAMILIES[family].config_class(**SMALL[family])
    net = FAMILIES[family].build(config)
    (*_, codec) = FAMILIES[family].codecs(config).values()
    metadata = Metadata(
        name="test",
        family=family,
        skeleton=Skeleton(name="test", names=tuple("abcde")),
        input_hw=config.input_hw,
        **codec.description(),
    )
    size = measurer(Target("size", 1))(net, metadata)
    # Less than two bytes a weight, the graph itself aside.
    assert 0 < size < 2 * net.count_params() + 60_000
    assert measurer(Target("latency", 1))(net, metadata) > 0


@pytest.mark.parametrize(
    ("target", "cost"),
    [
        ("macs=1M", "macs"),
        ("latency=0.001ms", "macs"),
        ("parameters=5K", "parameters"),
        ("size=9KB", "parameters"),
    ],
)
def test_channels_go_by_what_they_save_of_the_target(
    run, tmp_path, capsys, monkeypatch, target, cost
):
    from tinypose.compression import pruning

    asked = []

    def shrink_to(net, scores, measure, value, *, cost):
        asked.append(cost)
        raise UsageError("enough")

    monkeypatch.setattr(pruning, "shrink_to", shrink_to)
    arguments = ["prune", run, "--target", target, "--out", tmp_path / "out"]
    arguments += ["--importance", "magnitude", "--rounds", 1]
    code, _, err = tinypose(capsys, *arguments)
    assert (code, asked) == (2, [cost]), err


def test_channels_are_weighed_on_people_of_all_data_sets(
    run, tmp_path, capsys, monkeypatch
):
    from tinypose.training import pruning

    seen = []

    def weigh_channels(net, config, dataset, method):
        seen.extend(sample.sample_id for sample in dataset.samples)
        raise UsageError("enough")

    monkeypatch.setattr(pruning, "NUM_PICTURES", 4)
    monkeypatch.setattr(pruning, "weigh_channels", weigh_channels)
    data = ["--data", "stick_people:1-30", "--data", "stick_people:91-100"]
    arguments = ["prune", run, "--target", "macs=1M", "--out"]
    tinypose(capsys, *arguments, tmp_path / "all", *data)
    assert [int(name.split("/")[-1]) > 90 for name in seen] == [False] * 3 + [True]
    # No more of them than the training sees.
    seen.clear()
    tinypose(capsys, *arguments, tmp_path / "two", *data, "--limit", 2)
    assert len(seen) == 2


def test_a_run_that_has_come_to_small_pictures_only_is_pruned_at_their_size(
    run, tmp_path, capsys
):
    begun = tmp_path / "begun"
    shutil.copytree(run, begun)
    file = begun / "best.keras"
    net, metadata = load_net(file)
    large = {**metadata.config["model"], "input_hw": [128, 96]}
    training = {**metadata.config["training"], "first_sizes": [[1, 64, 48]]}
    config = {**metadata.config, "model": large, "training": training}
    net.save(file)
    write_metadata(file, replace(metadata, config=config))
    out = tmp_path / "out"
    command = ["prune", begun, "--target", "macs=1M", "--out", out, "--epochs", 1]
    code, _, err = tinypose(capsys, *command, "--rounds", 1, "--limit", 8, "--quiet")
    assert code == 0, err
    assert read_metadata(RunDir(out).best).input_hw == (64, 48)


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        ([], ["training.epochs=10"]),
        (["--epochs", 2], ["training.epochs=2"]),
        (["--set", "training.epochs=3"], ["training.epochs=3"]),
    ],
    ids=["default", "option", "set"],
)
def test_epochs_are_what_was_asked_for(
    run, tmp_path, capsys, monkeypatch, options, epochs
):
    seen = []
    monkeypatch.setattr(PruneJob, "do", lambda job: seen.append(job.changes))
    command = ["prune", run, "--target", "macs=1M", "--out", tmp_path / "out"]
    code, _, err = tinypose(capsys, *command, *options)
    assert (code, seen) == (0, [epochs]), err


def test_a_stop_at_the_end_of_a_round_ends_the_command(
    run, tmp_path, capsys, monkeypatch
):
    from tinypose.cli import train_job

    trained = []

    def start_run(folder, record, device, quiet):
        trained.append(folder.name)
        return True

    monkeypatch.setattr(train_job, "start_run", start_run)
    before, _ = load_net(RunDir(run).best)
    target = f"macs={0.6 * count_macs(before):.0f}"
    command = ["prune", run, "--target", target, "--out", tmp_path / "out"]
    command += ["--importance", "magnitude"]
    code, text, err = tinypose(capsys, *command)
    assert (code, trained) == (130, ["round_1"]), err
    assert "the same command goes on" in text


def test_the_device_is_chosen_before_the_network_is_loaded(
    run, tmp_path, capsys, monkeypatch
):
    done = []
    monkeypatch.setattr(device, "choose_device", done.append)

    def do(job):
        done.append(f"prune on {job.device}")

    monkeypatch.setattr(PruneJob, "do", do)
    command = ["prune", run, "--target", "macs=1M", "--out", tmp_path / "out"]
    code, _, err = tinypose(capsys, *command, "--device", "gpu")
    assert (code, done) == (0, ["gpu", "prune on gpu"]), err


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("macs=50M", "macs", 50e6),
        ("macs=1.5g", "macs", 1.5e9),
        ("parameters=300K", "parameters", 300e3),
        ("size=200KB", "size", 200e3),
        ("size=0.5 MB", "size", 0.5e6),
        ("latency=2ms", "latency", 2.0),
        ("sparsity=0.8", "sparsity", 0.8),
        ("sparsity=80%", "sparsity", 0.8),
    ],
)
def test_targets_are_understood(text, kind, value):
    assert parse_target(text) == Target(kind, value)


@pytest.mark.parametrize(
    "text",
    [
        "macs",
        "macs=",
        "macs=0M",
        "macs=5ms",
        "speed=2",
        "size=-3KB",
        "size=3",
        "macs=5%",
    ],
)
def test_other_targets_are_refused(text):
    with pytest.raises(UsageError, match="expected macs=50M"):
        parse_target(text)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--target", "macs=10G"], 2, "expected less than"),
        (["--target", "sparsity=100%"], 2, "expected a sparsity below 100%"),
        (["--target", "sparsity=0.5"], 2, "a sparsity has neither"),
        (["--target", "macs=100"], 1, "expected a target that pruning can reach"),
        # Before the first of three rounds is trained.
        (
            ["--target", "macs=100", "--rounds", 3],
            1,
            "expected a target that pruning can reach",
        ),
        (["--target", "macs=1M", "--importance", "luck"], 2, "expected taylor"),
        (["--target", "macs=1M", "--data", "lsp=nowhere"], 1, "nowhere"),
        (
            ["--target=macs=1M", "--epochs=2", "--set", "training.epochs=3"],
            2,
            "expected either --epochs 2 or --set training.epochs=3, found both",
        ),
        (
            ["--target=macs=1M", "--set", "model.channels=[8, 8]"],
            2,
            "--set model.channels=[8, 8]: expected model as the run has it",
        ),
        (["--target=sparsity=50%", "--set=model.num_stacks=2"], 2, "expected model as"),
        (["--target=macs=1M", "--set=skeleton=lsp"], 2, "expected skeleton as the run"),
        (["--target=macs=1M", "--set=family=deeppose"], 2, "expected family as the"),
    ],
    ids=[
        *(
            "above",
            "all_zeros",
            "rounds",
            "out_of_reach",
            "in_rounds",
            "importance",
            "data",
        ),
        *("epochs", "channels", "stacks", "skeleton", "family"),
    ],
)
def test_what_cannot_be_is_one_line(run, tmp_path, capsys, options, code, message):
    out = tmp_path / "pruned"
    arguments = ["prune", run, "--out", out, "--rounds", 1, *options]
    found, _, err = tinypose(capsys, *arguments)
    assert found == code
    assert message in err and err.count("\n") == 1
    assert not (out / "network.keras").exists()


def test_a_folder_that_is_no_run_is_one_line(tmp_path, capsys):
    code, _, err = tinypose(
        capsys, "prune", tmp_path, "--target", "macs=1M", "--out", tmp_path / "out"
    )
    assert code == 1 and "found another folder" in err


def test_a_pruning_goes_on_where_its_files_lie_now(run, tmp_path, capsys, monkeypatch):
    from tinypose.training import train

    monkeypatch.setattr(train, "run_training", lambda *arguments: Progress(epoch=1))
    here, there = tmp_path / "here", tmp_path / "there"
    shutil.copytree(run, here / "run")
    people = []
    for sample in stick_people(range(1, 5)):
        picture = here / f"{len(people)}.png"
        write_image(picture, sample.load_image())
        people.append(replace(sample, picture=picture))
    write_coco(here / "labels.json", people, here)

    def command(folder, ranges="1-3", val="4-4"):
        labels = f"coco={folder / 'labels.json'}"
        options = ["--data", f"{labels}:{ranges}", "--val", f"{labels}:{val}"]
        options += ["--target", "sparsity=50%", "--out", tmp_path / "out"]
        return ["prune", folder / "run", *options]

    code, _, err = tinypose(capsys, *command(here))
    assert code == 0, err
    here.rename(there)
    code, _, err = tinypose(capsys, *command(there))
    assert code == 0, err
    labels = f"coco={there / 'labels.json'}"
    record = RunDir(tmp_path / "out").read_run()
    assert record["data"] == [f"{labels}:1-3"]
    assert record["validation"] == [f"{labels}:4-4"]
    code, _, err = tinypose(capsys, *command(there, "1-2"))
    assert code == 2 and "data: ['coco 1-3']" in err
    code, _, err = tinypose(capsys, *command(there, val="3-4"))
    assert code == 2 and "validation: ['coco 4-4']), found ['coco 3-4']" in err
    # An earlier version did not note it.
    request = json.loads((tmp_path / "out" / "request.json").read_text())
    del request["validation"]
    (tmp_path / "out" / "request.json").write_text(json.dumps(request))
    code, _, err = tinypose(capsys, *command(there))
    assert code == 0, err
