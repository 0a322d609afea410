"""``tinypose demo``: the whole road on synthetic people, in minutes."""

from pathlib import Path
from typing import Annotated

import typer

from tinypose.errors import UsageError

TRAINING = "stick_people:1-2400"
VALIDATION = "stick_people:2401-2520"
NUM_SHOWN = 12

_OVERRIDES = [
    "skeleton=ai_challenger",
    "model.input_hw=[96, 96]",
    "model.sigma_cells=1.5",
    "augment.upside_down_probability=0",
    "augment.rotation_degrees=20",
    "training.epochs=10",
    "training.learning_rate=0.004",
    "training.warmup_steps=100",
    "training.ema=0.99",
]


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("demo"),
    picture: Annotated[
        Path | None, typer.Option(help="A photo of yours for the shipped model.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the training set.")
    ] = None,
) -> None:
    """Train, evaluate, export and predict on drawn people; no download needed."""
    from tinypose.cli.quiet import load_keras
    from tinypose.files import explain_os_errors

    if out.exists() and any(out.iterdir()):
        raise UsageError(
            f"--out {out}: expected a new folder, found files in it; remove it "
            "or name another"
        )
    if picture is not None:
        _check_picture(picture)
    load_keras()
    with explain_os_errors(out, "write"):
        out.mkdir(parents=True, exist_ok=True)
    overrides = [*_OVERRIDES, *([f"training.epochs={epochs}"] if epochs else [])]
    _train(out, overrides)
    _evaluate_and_export(out)
    _predict(out, picture)
    _say_what_to_do_next(out)


def _check_picture(picture: Path) -> None:
    """Raise now what ``tinypose predict`` would raise after minutes of training."""
    from tinypose.images import read_image
    from tinypose.inference.sources import find_sources

    if not all(source.is_picture for source in find_sources([str(picture)])):
        raise UsageError(
            f"--picture {picture}: expected a picture, found something else; name "
            "one photo"
        )
    read_image(picture)


def _train(out: Path, overrides: list[str]) -> None:
    from tinypose.cli.train import train
    from tinypose.config import apply_overrides, save_config

    config = out / "demo.yaml"
    save_config(config, apply_overrides({}, overrides, "demo"))
    _announce(
        f"tinypose train {config} --data {TRAINING} --val {VALIDATION} "
        f"--out {out / 'run'}"
    )
    train(config, data=[TRAINING], val=[VALIDATION], out=out / "run")


def _evaluate_and_export(out: Path) -> None:
    from tinypose.cli.evaluate import evaluate
    from tinypose.cli.export import export

    model = out / "demo.tflite"
    _announce(f"tinypose export {out / 'run'} --to {model}")
    export(out / "run", to=model)
    report = out / "report"
    _announce(f"tinypose evaluate {model} --data {VALIDATION} --out {report}")
    evaluate(str(model), data=[VALIDATION], out=report)


def _predict(out: Path, picture: Path | None) -> None:
    """Show what the new model, and then the shipped one, make of pictures."""
    from tinypose.cli.predict import predict
    from tinypose.data.sources import load_data
    from tinypose.drawing.sheets import contact_sheet
    from tinypose.drawing.skeletons import draw_pose
    from tinypose.images import write_image
    from tinypose.inference.predictor import Predictor

    people = load_data([VALIDATION])[:NUM_SHOWN]
    images = [person.load_image() for person in people]
    predictor = Predictor(out / "demo.tflite")
    poses = predictor.predict_batch(images, [person.box_xywh for person in people])
    drawn = [
        draw_pose(image, pose.keypoints_xy, pose.skeleton, scores=pose.scores)
        for image, pose in zip(images, poses, strict=True)
    ]
    write_image(
        out / "predictions.jpg", contact_sheet(drawn, columns=4, cell_hw=(240, 240))
    )
    source = picture or out / "person.png"
    if picture is None:
        write_image(source, images[0])
    _announce(f"tinypose predict {source} --model small --save {out / 'shipped'}")
    predict([str(source)], model="small", save=out / "shipped")


def _announce(command: str) -> None:
    typer.secho(f"\n$ {command}", bold=True)


def _say_what_to_do_next(out: Path) -> None:
    typer.secho("\nLook at", bold=True)
    for name, what in [
        ("run/curve.png", "how the training went"),
        ("predictions.jpg", "the exported model on people it has not seen"),
        ("report/report.html", "how accurate the exported file is"),
        ("shipped", "the shipped model on a picture"),
    ]:
        typer.echo(f"  {out / name!s:<28}  {what}")
    typer.secho("\nNext", bold=True)
    for command in [
        "tinypose predict YOUR_PHOTO.jpg --save predictions",
        "tinypose data show coco=YOUR_LABELS.json --out look",
        "tinypose train small_finetune --init small "
        "--data coco=YOUR_LABELS.json --val coco=HELD_OUT.json --out runs/mine "
        "--set skeleton=coco "
        "--set model.num_keypoints=17",
    ]:
        typer.echo(f"  {command}")
