"""Draw what a model finds in everyday pictures, without any box.

    python benchmarks/everyday.py --model small photo.jpg ... video.mp4

Pictures one by one; of a video, frames at even distances, each searched anew.
Writes one contact sheet, results/everyday_MODEL.jpg by default. Nothing is
chosen: what fails is on it, too.
"""

import argparse
from pathlib import Path

import numpy as np

from script import run_script
from tinypose.drawing.sheets import contact_sheet
from tinypose.drawing.skeletons import draw_pose
from tinypose.images import Image, write_image
from tinypose.inference.predictor import Predictor
from tinypose.inference.sources import find_sources, open_source

SIDE = 320
"""Of a cell, in pixels."""


def main() -> None:
    """Predict and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", help="pictures and videos")
    parser.add_argument("--model", default="small")
    parser.add_argument("--frames", type=int, default=8, help="of each video")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    predictor = Predictor(arguments.model)
    cells, titles = [], []
    for source in find_sources(arguments.sources):
        with open_source(source) as opened:
            frames = [frame.image for frame in opened]
        count = min(arguments.frames, len(frames))
        for index in np.linspace(0, len(frames) - 1, count).round().astype(int):
            image, score = predict(predictor, frames[index])
            cells.append(image)
            frame = f" {index}" if len(frames) > 1 else ""
            titles.append(f"{source.stem[:24]}{frame}: {score:.2f}")
    path = arguments.out or Path(f"results/everyday_{predictor.name}.jpg")
    write_image(path, contact_sheet(cells, titles, columns=4, cell_hw=(SIDE, SIDE)))
    print(f"look at: {path}")


def predict(predictor: Predictor, image: Image) -> tuple[Image, float]:
    """Return a picture with the pose found in it, and the pose's mean score."""
    pose = predictor(image)
    drawn = draw_pose(
        image, pose.keypoints_xy, pose.skeleton, scores=pose.scores, enlarge_to=SIDE
    )
    return drawn, pose.score


if __name__ == "__main__":
    run_script(main)
