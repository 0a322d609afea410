"""Compare the ways to refine a heatmap's peak, on one trained model.

    python benchmarks/decoding.py runs/tiny --data lsp=LSP:1-700 --limit 300

The heatmaps are predicted once and decoded in each way; the choice of the
default is made on training pictures. Writes results/decoding.csv.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from machine import describe_machine
from script import run_script
from tinypose.codecs.heatmap import REFINEMENTS, HeatmapCodec
from tinypose.data.sources import describe_spec, load_data
from tinypose.evaluation.pck import normalised_errors, pck_of_errors, torso_sizes
from tinypose.files import write_csv
from tinypose.geometry import invert_affine, transform_points
from tinypose.inference.predictor import Predictor

HEADER = (
    "model",
    "data",
    "people",
    "refinement",
    "pck_0.05",
    "pck_0.1",
    "pck_0.2",
    "milliseconds",
    "machine",
)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", type=Path, default=Path("results/decoding.csv"))
    arguments = parser.parse_args()
    predictor = Predictor(arguments.model)
    samples = load_data(arguments.data, predictor.skeleton, arguments.limit)
    found = [predictor.heatmaps(s.load_image(), s.box_xywh) for s in samples]
    metadata = predictor.metadata
    assert metadata.heatmap_hw is not None  # others have no heatmaps() either
    codec = HeatmapCodec(
        input_hw=metadata.input_hw,
        heatmap_hw=metadata.heatmap_hw,
        sigma_cells=metadata.sigma_cells,
    )
    true_xy = np.stack([s.keypoints_xy for s in samples])
    visible = np.stack([s.visible for s in samples])
    reference = torso_sizes(true_xy, visible, predictor.skeleton)
    rows = []
    for refinement in REFINEMENTS:
        begun = time.perf_counter()
        decoded = [codec.decode(maps[None], refinement)[0][0] for maps, _ in found]
        milliseconds = 1000 * (time.perf_counter() - begun) / len(found)
        predicted_xy = [
            transform_points(invert_affine(affine), points)
            for points, (_, affine) in zip(decoded, found, strict=True)
        ]
        errors = normalised_errors(predicted_xy, true_xy, visible, reference)
        scores = [pck_of_errors(errors, t).mean for t in (0.05, 0.1, 0.2)]
        rows.append(
            [
                metadata.name,
                ", ".join(describe_spec(spec) for spec in arguments.data),
                len(samples),
                refinement,
                *(f"{score:.2f}" for score in scores),
                f"{milliseconds:.2f}",
                describe_machine(),
            ]
        )
        print(*rows[-1])
    write_csv(arguments.out, HEADER, rows)


if __name__ == "__main__":
    run_script(main)
