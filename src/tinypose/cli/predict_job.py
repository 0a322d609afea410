"""The work of ``tinypose predict``: source by source, with a progress bar."""

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import typer

from tinypose.cli.stopping import stop_requested
from tinypose.drawing.skeletons import draw_pose, heatmap_grid
from tinypose.errors import TinyposeError
from tinypose.files import printable
from tinypose.images import Image, write_image
from tinypose.inference.inputs import image_hw
from tinypose.inference.outputs import (
    OutputNames,
    Results,
    SpoolError,
    video_writer,
)
from tinypose.inference.person_boxes import PersonBoxes
from tinypose.inference.pose import Pose
from tinypose.inference.predictor import Predictor
from tinypose.inference.sources import Frame, Source, open_source
from tinypose.inference.tracking import Tracker

READABLE_SIDE = 320
"""Pictures smaller than this are enlarged before they are drawn on."""


class ProgressBar:
    """A progress bar on standard error; without one, nothing."""

    def __init__(self, progress: Any = None, total: int = 0) -> None:
        self._progress = progress
        self._total: int | None = total
        self._task = progress.add_task("", total=total) if progress else None

    def start(self, name: str, num_frames: int) -> None:
        """Go on to a source of so many frames, 0 where that is not known."""
        if self._progress is None:
            return
        if num_frames == 0 or self._total is None:
            self._total = None
        else:
            self._total += num_frames - 1
        self._progress.update(
            self._task, description=Path(name).name[:40], total=self._total
        )

    def step(self) -> None:
        """Count one frame."""
        if self._progress is not None:
            self._progress.advance(self._task)


@dataclass(frozen=True, kw_only=True)
class PredictJob:
    """One call of the command: what to do, and what was found so far."""

    predictor: Predictor
    results: Results
    names: OutputNames | None
    box_xywh: tuple[float, ...] | None
    person_boxes: PersonBoxes | None
    heatmaps: bool
    min_score: float
    smooth: bool
    limit_frames: int | None
    table: bool
    to_stderr: bool

    def run(self, sources: list[Source]) -> bool:
        """Predict all sources; return whether the user stopped it."""
        with stop_requested() as stopped, _progress_bar(len(sources)) as bar:
            for source in sources:
                predict_one = self._picture if source.is_picture else self._video
                try:
                    predict_one(source, stopped, bar)
                except SpoolError as error:
                    self.results.fail(source, error)
                    raise
                except TinyposeError as error:
                    self.results.fail(source, error)
                    name = "" if source.name in str(error) else f"{source.name}: "
                    typer.echo(f"tinypose: error: {name}{error}", err=True)
                except Exception as error:
                    self.results.fail(source, error)
                    raise
                if stopped():
                    return True
        return False

    def _picture(
        self, source: Source, stopped: Callable[[], bool], bar: ProgressBar
    ) -> None:
        with open_source(source) as frames:
            bar.start(source.name, 1)
            for frame in frames:
                poses = self._people(source, frame.image)
                bar.step()
        if not poses:
            self.say(f"{source.name}: nobody")
        for person, pose in enumerate(poses):
            found = self._is_given or pose.score >= self.predictor.least_score
            self.results.add(source, frame, pose, found=found, person=person)
            name = source.name
            name += f", person {person}" if len(poses) > 1 else ""
            self.say(self._summary(name, pose, found))
            for line in _table(pose) if self.table else ():
                self.say(line)
        if self.table and self.person_boxes is None:
            name = shlex.quote(source.name)
            self.say(f"to see them:  tinypose predict {name} --save out")
        if self.names:
            self._save_picture(source, frame, poses, self.names)

    @property
    def _is_given(self) -> bool:
        """Whether somebody said where there is a person."""
        return self.box_xywh is not None or self.person_boxes is not None

    def _people(self, source: Source, image: Image) -> list[Pose]:
        """Return the poses of all people in a picture whose boxes are known."""
        if self.person_boxes is None or source.path is None:
            return [self.predictor(image, self.box_xywh)]
        boxes = self.person_boxes(source.path, image_hw(image))
        return self.predictor.predict_batch([image] * len(boxes), boxes)

    def _save_picture(
        self, source: Source, frame: Frame, poses: Sequence[Pose], names: OutputNames
    ) -> None:
        path = names(source, "_pose.jpg")
        write_image(path, self._draw(frame.image, poses, READABLE_SIDE))
        self.say(f"  wrote {path}")
        for pose in poses if self.heatmaps else ():
            maps, _ = self.predictor.heatmaps(frame.image, pose.box_xywh)
            crop, _ = self.predictor.crop(frame.image, pose.box_xywh)
            path = names(source, "_heatmaps.jpg")
            write_image(path, heatmap_grid(crop, maps, pose.skeleton.names))
            self.say(f"  wrote {path}")

    def _video(
        self, source: Source, stopped: Callable[[], bool], bar: ProgressBar
    ) -> None:
        """Follow one person through a video; keep what was found if it breaks."""
        path = self.names(source, "_pose.mp4") if self.names else None
        tracker = Tracker(self.predictor, smooth=self.smooth, box_xywh=self.box_xywh)
        count = seen = 0
        failure: TinyposeError | None = None
        with ExitStack() as stack:
            frames = stack.enter_context(open_source(source))
            write = (
                stack.enter_context(video_writer(path, frames.fps)) if path else None
            )
            bar.start(source.name, _at_most(frames.num_frames, self.limit_frames))
            try:
                for frame in islice(frames, self.limit_frames):
                    pose = tracker(frame.image, frame.time_s)
                    self.results.add(source, frame, pose, found=tracker.found)
                    count += 1
                    seen += tracker.found
                    if write and tracker.found:
                        write(self._draw(frame.image, [pose]), frame.time_s)
                    elif write:
                        write(frame.image, frame.time_s)
                    bar.step()
                    if stopped():
                        break
            except TinyposeError as error:
                if count == 0:
                    raise
                failure = error
        self.say(f"{source.name}: {count} frames, a person in {seen} of them")
        if path:
            self.say(f"  wrote {path}")
        if failure:
            raise failure

    def _draw(self, image: Image, poses: Sequence[Pose], enlarge_to: int = 0) -> Image:
        drawn = image
        for pose in poses:
            # The first one enlarges the picture for all.
            factor = drawn.shape[0] // image.shape[0]
            drawn = draw_pose(
                drawn,
                (pose.keypoints_xy + 0.5) * factor - 0.5,
                pose.skeleton,
                scores=pose.scores,
                min_score=self.min_score,
                enlarge_to=enlarge_to,
            )
        return drawn

    def _summary(self, name: str, pose: Pose, found: bool) -> str:
        count = int((pose.scores >= self.min_score).sum())
        doubt = "" if found else "perhaps nobody, "
        return (
            f"{name}: {doubt}{count} of {len(pose.scores)} keypoints score "
            f"{self.min_score:g} or more, {pose.score:.2f} on average"
        )

    def say(self, line: str) -> None:
        """Tell the user, beside the data if these go to standard output."""
        typer.echo(printable(line), err=self.to_stderr)


def _table(pose: Pose) -> list[str]:
    """Return the lines of a table of keypoints."""
    width = max(len(name) for name in pose.skeleton.names)
    rows = [
        f"  {name:<{width}}  {x:8.1f}  {y:8.1f}  {score:6.2f}"
        for name, (x, y), score in zip(
            pose.skeleton.names, pose.keypoints_xy, pose.scores, strict=True
        )
    ]
    return [f"  {'keypoint':<{width}}  {'x':>8}  {'y':>8}  {'score':>6}", *rows]


def _at_most(num_frames: int, limit: int | None) -> int:
    """Return how many frames will come; 0 where that is not known."""
    if limit is None or num_frames == 0:
        return num_frames
    return min(num_frames, limit)


@contextmanager
def _progress_bar(num_sources: int) -> Iterator[ProgressBar]:
    """Show frames done, frames per second and the time left, on a terminal."""
    if num_sources == 0 or not sys.stderr.isatty():
        yield ProgressBar()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class _Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.1f} frames/s" if speed else "")

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        yield ProgressBar(progress, num_sources)
