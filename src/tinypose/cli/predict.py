"""``tinypose predict``: find the keypoints in pictures, videos and webcams."""

import math
import os
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinypose.errors import UsageError
from tinypose.files import explain_os_errors, is_special, real_path

if TYPE_CHECKING:
    from tinypose.cli.predict_job import PredictJob
    from tinypose.inference.sources import Source

STDOUT = "-"
STDOUT_DEVICE = "/dev/stdout"
"""Written to by name, it would begin anew what was said before."""

FEW_SOURCES = 20
"""The lines of so many are still to be seen when all is done."""


def predict(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Pictures, videos, folders (without those in them), quoted patterns, "
            "webcam indices.",
            metavar="SOURCE...",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="A shipped model's name, a run folder, or what was exported: a "
            ".tflite, .onnx or .keras file, the folder of a SavedModel or for a "
            "microcontroller."
        ),
    ] = "small",
    box: Annotated[
        str | None,
        typer.Option(
            help="The person's tight box in pixels; in a video, of the first frame. "
            "Without it the person is searched.",
            metavar="X,Y,W,H",
        ),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="The tight boxes of all people in pictures, as COCO-style JSON: "
            "a detector's images and annotations with bbox.",
            metavar="FILE",
        ),
    ] = None,
    min_box_score: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Least score of the boxes that a detector gave one.",
            show_default="0.3",
        ),
    ] = None,
    box_category: Annotated[
        list[str] | None,
        typer.Option(
            help="Category of boxes that count, such as horse; may be repeated.",
            metavar="NAME",
            show_default="person",
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Write NAME_pose.jpg or NAME_pose.mp4 into this folder.",
            metavar="DIR",
        ),
    ] = None,
    json: Annotated[
        str | None,
        typer.Option(
            help="Write all poses as JSON; - for stdout. 'found' says whether somebody "
            "was found; where boxes are given for pictures, it is always true.",
            metavar="FILE",
        ),
    ] = None,
    csv: Annotated[
        str | None,
        typer.Option(
            help="Write one line per keypoint as CSV; - for stdout. Lines whose "
            "'found' is false are of pictures in which there is perhaps nobody; "
            "sources that failed have none, and --json names them.",
            metavar="FILE",
        ),
    ] = None,
    heatmaps: Annotated[
        bool,
        typer.Option(
            "--heatmaps",
            help="With --save: also draw each keypoint's heatmap (pictures only; the "
            "model must be a run folder or exported with --heads).",
        ),
    ] = False,
    min_score: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Lowest score that is drawn.")
    ] = 0.2,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of a .tflite model.")
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Also look at the mirrored picture.")
    ] = False,
    smooth: Annotated[
        bool,
        typer.Option(
            "--smooth/--no-smooth", help="Steady the keypoints of videos and webcams."
        ),
    ] = True,
    limit_frames: Annotated[
        int | None,
        typer.Option(min=1, help="Stop each video or webcam after N frames."),
    ] = None,
) -> None:
    """Find the keypoints of the person in pictures, videos or a webcam.

    Exit code: 0 all done, 1 some source failed, 2 wrong usage, 130 Ctrl-C
    (what was found until then is kept).

    Example:  tinypose predict photo.jpg --save out
    """
    # OpenCV's and FFmpeg's own lines would bury ours.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if "" in sources or model == "":
        raise UsageError("expected a path or a name, found an empty one")
    box_xywh = None if box is None else _parse_box(box)
    if box is not None and boxes is not None:
        raise UsageError("expected only one of --box and --boxes, found both")
    for name, value in (
        ("--min-box-score", min_box_score),
        ("--box-category", box_category),
    ):
        if value is not None and boxes is None:
            raise UsageError(f"expected --boxes with {name}, found it alone")
    if heatmaps and save is None:
        raise UsageError("expected --save DIR with --heatmaps, found none")
    json, csv = (STDOUT if name == STDOUT_DEVICE else name for name in (json, csv))
    if json == csv == STDOUT:
        raise UsageError("expected only one of --json and --csv to be -, found both")

    from tinypose.cli.predict_job import PredictJob
    from tinypose.inference.outputs import OutputNames, Results
    from tinypose.inference.person_boxes import MIN_BOX_SCORE, PersonBoxes
    from tinypose.inference.predictor import Predictor
    from tinypose.inference.sources import find_sources, overlooked

    found = find_sources(sources)
    for text in filter(None, map(overlooked, sources)):
        typer.echo(text, err=True)
    _check_outputs(sources, found, boxes, save, json, csv)
    videos = [source.name for source in found if not source.is_picture]
    if boxes is not None and videos:
        raise UsageError(f"--boxes: expected pictures only, found {videos[0]}")
    person_boxes = None
    if boxes is not None:
        least = MIN_BOX_SCORE if min_box_score is None else min_box_score
        person_boxes = PersonBoxes(boxes, least, box_category or ())
        if person_boxes.num_others:
            typer.echo(
                f"{boxes}: {person_boxes.num_others} boxes of other categories left "
                "out (--box-category)",
                err=True,
            )
        if person_boxes.num_unsure:
            typer.echo(
                f"{boxes}: {person_boxes.num_unsure} boxes of a score below {least:g} "
                "left out (--min-box-score)",
                err=True,
            )
    predictor = Predictor(model, num_threads=threads, flip_test=flip)
    if heatmaps:
        predictor.require_heatmaps()
    folders = _folders(json, csv)
    results = Results(
        predictor.metadata,
        keep_poses=bool(json or csv),
        folder=folders[0] if folders else None,
    )
    job = PredictJob(
        predictor=predictor,
        results=results,
        names=OutputNames(save, found) if save else None,
        box_xywh=box_xywh,
        person_boxes=person_boxes,
        heatmaps=heatmaps,
        min_score=min_score,
        smooth=smooth,
        limit_frames=limit_frames,
        table=len(found) == 1 and not (save or json or csv),
        to_stderr=STDOUT in (json, csv),
    )
    with closing(results):
        try:
            interrupted = job.run(found)
        finally:
            # Whatever ended the work: what was found until then is kept.
            _write_results(job, json, csv)
    if interrupted:
        raise KeyboardInterrupt
    failures = job.results.failures
    if failures:
        if len(found) > FEW_SOURCES:
            first = failures[0]
            typer.echo(
                f"{len(failures)} of {len(found)} sources failed, such as "
                f"{first['source']}: {first['error']}",
                err=True,
            )
        raise typer.Exit(1)


def _write_results(job: "PredictJob", json: str | None, csv: str | None) -> None:
    """Write what was found; an output that fails does not cost the other."""
    failures = []
    results = job.results
    for target, pieces in [(json, results.json_pieces), (csv, results.csv_pieces)]:
        try:
            _write_result(job, target, pieces)
        except Exception as error:
            failures.append(error)
    for failure in failures[1:]:
        typer.echo(f"tinypose: error: {failure}", err=True)
    if failures:
        raise failures[0]


def _write_result(
    job: "PredictJob", target: str | None, pieces: Callable[[], Iterable[str]]
) -> None:
    from tinypose.inference.outputs import write_pieces

    if target == STDOUT:
        for piece in pieces():
            typer.echo(piece, nl=False)
    elif target is not None:
        write_pieces(target, pieces())
        job.say(f"wrote {target}")


def _parse_box(text: str) -> tuple[float, ...]:
    """Return the four numbers of ``x,y,w,h``."""
    try:
        values = tuple(float(word) for word in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 4 or not all(map(math.isfinite, values)):
        raise UsageError(
            f"expected --box as x,y,width,height in pixels, such as 40,20,120,300, "
            f"found {text!r}"
        )
    if values[2] <= 0 or values[3] <= 0:
        raise UsageError(
            f"expected --box with a positive width and height, found {text!r}"
        )
    return values


def _check_outputs(
    specs: list[str],
    sources: "list[Source]",
    boxes: Path | None,
    save: Path | None,
    json: str | None,
    csv: str | None,
) -> None:
    """Raise now, not after all the work, if the results cannot be written."""
    read = {path.resolve() for path in (boxes, *(s.path for s in sources)) if path}
    files = _files(json, csv)
    if len(files) == 2 and files[0].resolve() == files[1].resolve():
        raise UsageError(
            f"expected two files for --json and --csv, found {files[0]} for both"
        )
    for path in files:
        if path.resolve() in read:
            raise UsageError(
                f"expected a new file for the results, found the source {path}; "
                "choose another name"
            )
        if path.is_dir():
            raise UsageError(f"expected a file for the results, found folder {path}")
    if save is not None and save.exists() and not save.is_dir():
        raise UsageError(f"expected --save to be a folder, found the file {save}")
    if save is not None and save.resolve() in {Path(s).resolve() for s in specs}:
        typer.echo(
            f"warning: {save} is read and drawn into: the next time, what is drawn "
            "counts as pictures; give --save another folder",
            err=True,
        )
    for folder in [*_folders(json, csv), *([save] if save else [])]:
        with explain_os_errors(folder, "write into"):
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()


def _files(*targets: str | None) -> list[Path]:
    """Return the outputs that are named, not standard output."""
    return [Path(name) for name in targets if name not in (None, STDOUT)]


def _folders(*targets: str | None) -> list[Path]:
    """Return the folders in which outputs are written, in order."""
    files = [path for path in _files(*targets) if not is_special(path)]
    return list(dict.fromkeys(real_path(path).parent for path in files))
