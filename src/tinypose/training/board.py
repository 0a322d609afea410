"""TensorBoard event files, written without TensorFlow."""

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tinypose.errors import MissingDependencyError
from tinypose.images import Image


class Board:
    """Write scalars and pictures for TensorBoard.

    Args:
        folder: Where the event files go.
        step: First step that will be written: what an interrupted run wrote
            beyond it is hidden.

    Raises:
        MissingDependencyError: tensorboard is not installed.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise MissingDependencyError("tensorboard", "writing logs") from error
        self._event: Any = event_pb2.Event
        self._summary: Any = summary_pb2.Summary
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = EventFileWriter(str(folder))
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._add(step, session_log=start)

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Write one figure per tag."""
        entries = [
            self._summary.Value(tag=tag, simple_value=value)
            for tag, value in values.items()
        ]
        self._add(step, summary=self._summary(value=entries))

    def image(self, tag: str, image: Image, step: int) -> None:
        """Write a picture (height, width, 3) uint8 RGB."""
        done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if not done:
            return
        picture = self._summary.Image(
            height=image.shape[0],
            width=image.shape[1],
            colorspace=3,
            encoded_image_string=np.asarray(data).tobytes(),
        )
        entry = self._summary.Value(tag=tag, image=picture)
        self._add(step, summary=self._summary(value=[entry]))

    def close(self) -> None:
        """Write out what is waiting."""
        self._writer.close()

    def _add(self, step: int, **content: Any) -> None:
        event = self._event(wall_time=time.time(), step=step, **content)
        self._writer.add_event(event)
        self._writer.flush()
