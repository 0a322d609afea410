"""What a prediction leaves behind: names, annotated videos, JSON, CSV."""

import csv
import io
import itertools
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tinypose.drawing.sheets import letterbox
from tinypose.errors import TinyposeError
from tinypose.files import atomic_path, explain_os_errors, printable
from tinypose.images import Image
from tinypose.inference.pose import Pose
from tinypose.inference.sources import Frame, Source, video_name
from tinypose.metadata import Metadata
from tinypose.quiet import quiet_stderr

CSV_HEADER = (
    *("source", "frame", "time_s", "keypoint", "x", "y", "score", "found"),
    "person",
)

MIN_FPS, MAX_FPS = 0.01, 1000.0
"""Videos are not written slower or faster: pictures are repeated, or left out."""


class OutputNames:
    """Hand out distinct file names that overwrite no source.

    Args:
        folder: Where the files go.
        sources: What is read; none of these files is ever named.
    """

    def __init__(self, folder: Path, sources: Sequence[Source]) -> None:
        self._folder = folder
        self._taken = {_key(source.path) for source in sources if source.path}

    def __call__(self, source: Source, ending: str) -> Path:
        """Return ``folder/STEM<ending>``; a number is added if that is taken."""
        start, suffix = ending.rsplit(".", 1)
        for number in itertools.count(1):
            extra = "" if number == 1 else f"_{number}"
            path = self._folder / f"{source.stem}{start}{extra}.{suffix}"
            if _key(path) not in self._taken:
                break
        self._taken.add(_key(path))
        return path


class SpoolError(TinyposeError):
    """Say that no more results can be kept: to go on would be in vain."""


class Results:
    """Collect poses and failures, for JSON and CSV; close it at the end.

    An hour of video has a hundred thousand poses: they wait on disk, as lines of
    JSON in a file that has no name and goes with the process.

    Args:
        metadata: Of the model that predicts.
        keep_poses: False where nobody will ask for them: a webcam's day is long.
        folder: Where there is room for them; None is the system's for such files.

    Raises:
        TinyposeError: the folder does not take a file.
    """

    def __init__(
        self,
        metadata: Metadata,
        *,
        keep_poses: bool = True,
        folder: Path | None = None,
    ) -> None:
        self._metadata = metadata
        self._folder = folder or Path(tempfile.gettempdir())
        self._spool: Any = None
        self.num_poses = 0
        self.failures: list[dict[str, str]] = []
        if keep_poses:
            with explain_os_errors(self._folder, "write into"):
                # Unbuffered: a full disk shows at once.
                self._spool = tempfile.TemporaryFile(dir=folder, buffering=0)

    def close(self) -> None:
        """Forget the poses, and give back what they take of the disk."""
        if self._spool is not None:
            self._spool.close()

    def add(
        self,
        source: Source,
        frame: Frame,
        pose: Pose,
        *,
        found: bool = True,
        person: int = 0,
    ) -> None:
        """Note a pose in a frame.

        Args:
            source: Where the frame is from.
            frame: The frame.
            pose: The pose.
            found: Whether it is believed to be somebody's.
            person: Whose, of the frame's people, from 0.

        Raises:
            SpoolError: the disk is full.
        """
        if self._spool is None:
            return
        row = {
            "source": printable(source.name),
            "frame": frame.index,
            "time_s": round(frame.time_s, 4),
            "image_hw": list(frame.image.shape[:2]),
            "found": found,
            "person": person,
            **pose.to_dict(),
        }
        line = f"{_json(row)}\n".encode()
        try:
            with explain_os_errors(self._folder, "keep results in"):
                self._spool.seek(0, io.SEEK_END)
                while line:
                    line = line[self._spool.write(line) :]
        except TinyposeError as error:
            raise SpoolError(str(error)) from error
        self.num_poses += 1

    def fail(self, source: Source, error: Exception) -> None:
        """Note that a source could not be predicted, or not to its end."""
        self.failures.append(
            {"source": printable(source.name), "error": printable(str(error))}
        )

    def json_pieces(self) -> Iterator[str]:
        """Yield all that was found as JSON, one line per pose."""
        yield f'{{\n "model": {_json(printable(self._metadata.name))},\n'
        yield f' "skeleton": {_json(self._metadata.skeleton.to_dict())},\n'
        yield from _json_list("results", self._lines())
        yield ",\n"
        yield from _json_list("failures", map(_json, self.failures))
        yield "\n}\n"

    def csv_pieces(self) -> Iterator[str]:
        """Yield one line per keypoint, under ``CSV_HEADER``."""
        yield _csv([CSV_HEADER])
        for line in self._lines():
            yield _csv(_csv_rows(json.loads(line)))

    def _lines(self) -> Iterator[str]:
        """Yield the poses as JSON, without what a full disk cut off."""
        if self._spool is None:
            return
        self._spool.seek(0)
        with open(self._spool.fileno(), "rb", closefd=False) as reader:
            for line in itertools.islice(reader, self.num_poses):
                yield line.decode().removesuffix("\n")


def write_pieces(path: str | Path, pieces: Iterable[str]) -> None:
    """Write a text, piece by piece, to ``path`` atomically as UTF-8."""
    with atomic_path(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            file.writelines(pieces)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _json_list(key: str, items: Iterable[str]) -> Iterator[str]:
    """Yield a member of a JSON object: a list with one line per element."""
    yield f" {_json(key)}: ["
    separator = "\n  "
    for item in items:
        yield separator + item
        separator = ",\n  "
    yield "]" if separator == "\n  " else "\n ]"


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def _csv_rows(result: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    for keypoint in result["keypoints"]:
        yield (
            result["source"],
            result["frame"],
            result["time_s"],
            keypoint["name"],
            keypoint["x"],
            keypoint["y"],
            keypoint["score"],
            _json(result["found"]),
            result["person"],
        )


@contextmanager
def video_writer(path: Path, fps: float) -> Iterator[Callable[[Image, float], None]]:
    """Yield a function that adds a picture at a time to an MPEG-4 video.

    The video appears under its name when it is complete; if the block fails,
    nothing is left. Pictures of another size than the first are letterboxed. A
    picture is left out or repeated where they come faster or slower than
    ``fps``, as from a webcam.

    Raises:
        TinyposeError: the video cannot be written, or not to its end.
    """
    video_name(path)  # refuses the name that the user knows
    with atomic_path(path) as temporary:
        writer = _Writer(temporary, fps, path)
        try:
            yield writer.write
        finally:
            writer.release()
        writer.check()


class _Writer:
    """OpenCV's writer, opened by the first picture, checked at the end."""

    def __init__(self, temporary: Path, fps: float, path: Path) -> None:
        self._name, self._fps = video_name(temporary), _codec_rate(fps)
        self._path = path
        self._writer: Any = None
        self._refusal: TinyposeError | None = None
        self._hw = (0, 0)
        self._count = 0

    def write(self, image: Image, time_s: float) -> None:
        if self._writer is None:
            self._open(image)
        if image.shape[:2] != self._hw:
            image = _fit(image, self._hw)
        picture = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        for _ in range(round(time_s * self._fps) + 1 - self._count):
            self._writer.write(picture)
            self._count += 1

    def _open(self, image: Image) -> None:
        # The codec stores colour for 2x2 pixels: sides must be even.
        self._hw = (image.shape[0] + 1) // 2 * 2, (image.shape[1] + 1) // 2 * 2
        writer = cv2.VideoWriter(
            self._name,
            cv2.VideoWriter.fourcc(*"mp4v"),
            self._fps,
            (self._hw[1], self._hw[0]),
        )
        if not writer.isOpened():
            self._refusal = TinyposeError(
                f"cannot write {self._path}: this OpenCV opens no MPEG-4 video of "
                f"{self._hw[1]} x {self._hw[0]} pixels at {self._fps:g} frames a second"
            )
            raise self._refusal
        self._writer = writer

    def release(self) -> None:
        if self._writer is not None:
            self._writer.release()

    def check(self) -> None:
        if self._refusal is not None:
            raise self._refusal
        # OpenCV does not say when a disk is full.
        with quiet_stderr():
            reader = cv2.VideoCapture(self._name)
        complete = reader.get(cv2.CAP_PROP_FRAME_COUNT) == self._count > 0
        reader.release()
        if not complete:
            raise TinyposeError(
                f"cannot write {self._path}: the video is incomplete; is the disk full?"
            )


def _codec_rate(fps: float) -> float:
    """Return the nearest rate that MPEG-4 holds: it counts to 65,535 a second.

    OpenCV takes the rate times 1000 for the clock, where fewer zeros do not hold it.
    """
    fps = min(max(fps, MIN_FPS), MAX_FPS)
    return round(fps, 3 if fps < 65 else 2 if fps < 655 else 1)


def _fit(image: Image, output_hw: tuple[int, int]) -> Image:
    down, right = output_hw[0] - image.shape[0], output_hw[1] - image.shape[1]
    if 0 <= down <= 1 and 0 <= right <= 1:
        # An odd side: repeat the last row or column.
        return np.pad(image, ((0, down), (0, right), (0, 0)), mode="edge")
    return letterbox(image, output_hw)


def _key(path: Path) -> str:
    # Some file systems do not tell upper from lower case.
    return str(path.resolve()).casefold()
