"""Frames to predict: from pictures, folders, globs, videos and webcams."""

import glob
import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tinypose.errors import TinyposeError
from tinypose.files import explain_os_errors, printable, require_file
from tinypose.images import (
    HEIF_SUFFIXES,
    MAX_PIXELS,
    PICTURE_SUFFIXES,
    Image,
    read_image,
    suffix_advice,
)
from tinypose.quiet import quiet_stderr

VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".gif",
)  # fmt: skip

MAX_VIDEO_BYTES = 1024**4
DEFAULT_FPS = 25.0
"""For a video that does not say how fast it runs."""

MAX_FPS = 1000.0
PLAUSIBLE_FPS = 240.0
"""More than that is rather the clock of a video that states no rate."""

PROBED_FRAMES = 300
"""So many of its frames then tell how fast it runs."""

LONG_STEP_S = 600.0
LONG_STEP_FRAMES = 10
"""A frame that comes later than both after the one before has a damaged time."""

MISSING_SHARE = 0.1
"""So much less than a video announces may be a rounding."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture to predict.

    Args:
        image: (height, width, 3) uint8 RGB.
        index: Position in its source, from 0.
        time_s: When it is shown, in seconds from the start; 0 for a picture.
    """

    image: Image
    index: int = 0
    time_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Source:
    """A picture, a video or a webcam.

    Args:
        name: What the user sees: the path as given, or ``webcam 0``.
        kind: ``picture``, ``video`` or ``webcam``.
        path: The file; None for a webcam.
        device: The webcam's index.
    """

    name: str
    kind: str
    path: Path | None = None
    device: int = 0

    @property
    def is_picture(self) -> bool:
        """Whether it is a single picture."""
        return self.kind == "picture"

    @property
    def stem(self) -> str:
        """Start of the names of what is written about it."""
        return self.path.stem if self.path else f"webcam_{self.device}"


def find_sources(specs: Sequence[str]) -> list[Source]:
    """Return what the user's words name, in order; a folder's files by name.

    Args:
        specs: Files, folders, globs such as ``photos/*.jpg``, webcam indices.

    Raises:
        TinyposeError: nothing of that name, a folder or glob without pictures
            and videos, or a file that is neither.
    """
    return [source for spec in specs for source in _find(spec)]


@dataclass(frozen=True, eq=False, kw_only=True)
class Frames:
    """The frames of an open source; iterate over it once.

    Args:
        name: What the user sees.
        pictures: The pictures (height, width, 3) uint8 RGB, in order, each with
            the time in seconds that its file states; 0 where it states none.
        fps: Frames per second; of a GIF, the most that it shows.
        num_frames: About how many frames it announces; 0 where that is not known.
        duration_s: How long it says that it is, in seconds.
        live: Whether the frames come as they happen, at their own times.
    """

    name: str
    pictures: Iterator[tuple[Image, float]]
    fps: float = DEFAULT_FPS
    num_frames: int = 0
    duration_s: float = 0.0
    live: bool = False

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            TinyposeError: no frames, or (after those that are there) an end
                before the announced one.
        """
        count, start = 0, 0.0
        longest_s = 1 / self.fps
        time_s = first_stated = 0.0
        for picture, stated in self.pictures:
            if self.live:
                # From its first picture on: cameras take a while to begin.
                now = time.monotonic()
                start = start if count else now
                time_s = now - start
            elif count == 0:
                first_stated = stated
            else:
                before_s = time_s
                time_s = self._next_time(before_s, stated - first_stated)
                longest_s = max(longest_s, time_s - before_s)
            yield Frame(picture, count, time_s)
            count += 1
        if count == 0:
            raise TinyposeError(
                f"{self.name}: expected a video, found no frame in it; is it damaged?"
            )
        self._check_length(count, time_s + longest_s)

    def _check_length(self, count: int, seconds: float) -> None:
        """Raise if both frames and time are missing at the end.

        Where a video does not state its number of frames, the announced one is
        the duration in ticks of its clock; where it does not state times, they
        are counted. The last frame may last as long as any other.
        """
        share = 1 - MISSING_SHARE
        if count < share * self.num_frames - 1 and seconds < share * self.duration_s:
            raise TinyposeError(
                f"{self.name}: expected a video of {self.duration_s:.1f} s, found "
                f"{seconds:.1f} s in {count} frames; is it truncated? What was found "
                "is kept"
            )

    def _next_time(self, before_s: float, stated_s: float) -> float:
        """Return when a frame is shown; frames may come at uneven times."""
        longest = max(LONG_STEP_S, LONG_STEP_FRAMES / self.fps)
        if before_s < stated_s <= before_s + longest:
            return stated_s
        return before_s + 1 / self.fps


@contextmanager
def open_source(source: Source) -> Iterator[Frames]:
    """Open a picture, video or webcam, and close it at the end.

    Raises:
        TinyposeError: missing, damaged, too large, or no such webcam.
    """
    if source.is_picture and source.path is not None:
        picture = read_image(source.path)
        yield Frames(name=source.name, pictures=iter([(picture, 0.0)]), num_frames=1)
        return
    if source.path is not None:
        require_file(source.path, "a video", max_bytes=MAX_VIDEO_BYTES)
    capture = _open_capture(source)
    try:
        _check_capture(capture, source)
        stated_fps = float(capture.get(cv2.CAP_PROP_FPS))
        fps = _frame_rate(stated_fps, source)
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        count = count if source.path and 0 < count < 1e9 else 0
        ticks_per_frame = max(stated_fps / fps, 1.0) if stated_fps > 0 else 1.0
        yield Frames(
            name=source.name,
            pictures=_captured(capture),
            fps=fps,
            num_frames=round(count / ticks_per_frame),
            duration_s=count / (stated_fps if stated_fps > 0 else fps),
            live=source.path is None,
        )
    finally:
        capture.release()


def video_name(path: Path) -> str:
    """Return the name of a video's file as OpenCV takes it.

    Raises:
        TinyposeError: it has bytes that are not UTF-8, over which OpenCV crashes.
    """
    # FFmpeg takes what stands before a colon for a protocol.
    name = str(path.absolute())
    if printable(name) != name:
        raise TinyposeError(
            f"{printable(str(path))}: expected a video of a name in UTF-8, found other "
            "bytes in it; rename it"
        )
    return name


def _open_capture(source: Source) -> Any:
    target = source.device if source.path is None else video_name(source.path)
    with quiet_stderr():  # FFmpeg complains in its own words
        return cv2.VideoCapture(target)


def _frame_rate(stated_fps: float, source: Source) -> float:
    """Return the frames per second of a copy that shows what the source does.

    FFmpeg states the mean of a GIF, whose frames last as they like: the short ones
    would be left out. Of a WebM or Matroska file of uneven frames it states the
    ticks of the clock, 1000.
    """
    fps = stated_fps
    if source.path is not None and source.path.suffix.lower() == ".gif":
        steps_s = _steps_s(_open_capture(source))
        fps = max(fps, 1 / min(steps_s, default=math.inf))
    elif source.path is not None and fps > PLAUSIBLE_FPS:
        steps_s = _steps_s(_open_capture(source), PROBED_FRAMES)
        fps = 1 / float(np.median(steps_s)) if steps_s else fps
    return fps if 0 < fps <= MAX_FPS else DEFAULT_FPS


def _steps_s(capture: Any, most_frames: float = math.inf) -> list[float]:
    """Return the seconds from frame to frame, as far as stated; close the capture."""
    times_s: list[float] = []
    while len(times_s) < most_frames and capture.grab():
        times_s.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    capture.release()
    return [float(step) for step in np.diff(times_s) if step > 0]


def _check_capture(capture: Any, source: Source) -> None:
    if not capture.isOpened():
        if source.kind == "webcam":
            raise TinyposeError(
                f"expected a webcam of index {source.device}, found none that opens; "
                "is it plugged in, and does nothing else use it?"
            )
        raise TinyposeError(
            f"{source.name}: expected a video, found a file that does not open as "
            "one; is it damaged or of another format?"
        )
    width = capture.get(cv2.CAP_PROP_FRAME_WIDTH)
    height = capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if width * height > MAX_PIXELS:
        raise TinyposeError(
            f"{source.name}: expected frames of at most {MAX_PIXELS // 10**6} "
            f"megapixels, found {width:.0f} x {height:.0f}"
        )


def _captured(capture: Any) -> Iterator[tuple[Image, float]]:
    while True:
        done, picture = capture.read()
        if not done:
            return
        grey = picture.ndim == 2
        code = cv2.COLOR_GRAY2RGB if grey else cv2.COLOR_BGR2RGB
        # After a frame is read, this is its own time, not that of the next one.
        stated_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        yield np.asarray(cv2.cvtColor(picture, code), np.uint8), stated_s


def _find(spec: str) -> list[Source]:
    path = Path(spec)
    with explain_os_errors(spec, "read"):
        if path.is_dir():
            return _folder_sources(path)
        if path.exists():
            return [_file_source(path)]
    if re.fullmatch(r"\d{1,3}", spec):
        return [Source(name=f"webcam {int(spec)}", kind="webcam", device=int(spec))]
    if any(mark in spec for mark in "*?["):
        matches = [Path(match) for match in glob.glob(spec, recursive=True)]
        found = _sources_among(matches)
        if not found:
            raise TinyposeError(
                f"{spec}: expected a pattern that matches pictures or videos, found "
                f"{'only other files' if matches else 'no match'}"
            )
        return found
    raise TinyposeError(
        f"{spec}: expected a picture, video, folder, pattern or webcam index, found "
        "no such file"
    )


def _folder_sources(folder: Path) -> list[Source]:
    found = _sources_among(list(folder.iterdir()))
    if not found:
        raise TinyposeError(
            f"{folder}: expected a folder with pictures or videos, found none in it; "
            f"known endings are {', '.join(PICTURE_SUFFIXES + VIDEO_SUFFIXES)}"
        )
    return found


def overlooked(spec: str) -> str:
    """Return what of a folder looks as if it were read and is not; empty for nothing.

    Args:
        spec: As in ``find_sources``.
    """
    folder = Path(spec)
    if not folder.is_dir():
        return ""
    # Its entries know what they are; asking for each file costs a while.
    with explain_os_errors(spec, "read"), os.scandir(folder) as scan:
        entries = [entry for entry in scan if not entry.name.startswith(".")]
        num_folders = sum(entry.is_dir() for entry in entries)
    suffixes = [Path(entry.name).suffix.lower() for entry in entries]
    counts = {suffix: suffixes.count(suffix) for suffix in HEIF_SUFFIXES}
    unread = {suffix: count for suffix, count in counts.items() if count}
    parts = [f"{count:,} {suffix} files" for suffix, count in unread.items()]
    advice = suffix_advice(next(iter(unread), ""))
    if num_folders:
        parts.append(f"{num_folders:,} folders in it")
        pattern = printable(str(folder / "**" / "*.jpg"))
        advice += f"; for folders in folders quote a pattern, such as '{pattern}'"
    return f"{printable(spec)}: left out {' and '.join(parts)}{advice}" if parts else ""


def _sources_among(paths: Sequence[Path]) -> list[Source]:
    """Return the pictures and videos among files, in natural order."""
    known = [
        path
        for path in paths
        if path.suffix.lower() in PICTURE_SUFFIXES + VIDEO_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    ]
    return [_file_source(path) for path in sorted(known, key=_natural)]


def _file_source(path: Path) -> Source:
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        return Source(name=str(path), kind="picture", path=path)
    if suffix in VIDEO_SUFFIXES:
        return Source(name=str(path), kind="video", path=path)
    raise TinyposeError(
        f"{path}: expected a picture ({', '.join(PICTURE_SUFFIXES)}) or a video "
        f"({', '.join(VIDEO_SUFFIXES)}), found {path.suffix or 'no ending'!r}"
        f"{suffix_advice(suffix)}"
    )


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts frame_2 before frame_10."""
    parts = re.split(r"(\d+)", str(path))
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part.lower())
        for part in parts
    ]
