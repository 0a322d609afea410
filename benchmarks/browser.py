r"""Measure the shipped models in a browser: how right they are there, and how fast.

    npm install --prefix PACKAGES @litertjs/core@2.5.3 @litertjs/wasm-utils@2.5.3 \
        @sparticuz/chromium puppeteer-core
    python benchmarks/browser.py --data lsp=LSP:701-1000 --packages PACKAGES

Every person goes through ``tinypose.js``, as ``tinypose export --target web`` writes
it, in Chromium without a window: LiteRT.js on the CPU, one thread, true boxes. Times
are those of a whole prediction: crop, network, keypoints. Writes results/browser.csv
and the table in docs/deploy.md.
"""

import argparse
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machine import describe_machine
from script import run_script
from tables import markdown_table, update_table
from tinypose import __version__
from tinypose.data.sample import Sample
from tinypose.data.sources import describe_spec, load_data
from tinypose.evaluation.pck import normalised_errors, pck_of_errors
from tinypose.evaluation.references import measure_references
from tinypose.export.web import MODEL, export_web
from tinypose.files import write_csv
from tinypose.inference.predictor import Predictor
from tinypose.weights import shipped

HEADER = (
    *("model", "data", "people", "pck_0.2", "pck_0.2_here", "median_px", "p95_px"),
    *("milliseconds", "milliseconds_here", "browser", "tinypose", "machine"),
)

PAGE = """<!doctype html><body><script type="importmap">{"imports": {
  "@litertjs/core": "/packages/@litertjs/core/dist/index.js",
  "@litertjs/wasm-utils": "/packages/@litertjs/wasm-utils/dist/index.js"
}}</script></body>"""


class Handler(SimpleHTTPRequestHandler):
    """Serves the module and the models, the packages and the pictures.

    Args:
        packages: The folder of ``npm install --prefix``.
        pictures: Served as /pictures/0 and so on.
    """

    def __init__(
        self, *arguments: Any, packages: Path, pictures: Sequence[Path], **more: Any
    ) -> None:
        self.packages = packages
        self.pictures = pictures
        super().__init__(*arguments, **more)

    def translate_path(self, path: str) -> str:
        """Return the file behind an address."""
        if path.startswith("/packages/"):
            return str(self.packages / "node_modules" / path[len("/packages/") :])
        if path.startswith("/pictures/"):
            return str(self.pictures[int(path.rpartition("/")[2])])
        return super().translate_path(path)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


def main() -> None:
    """Predict in both places and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("results/browser.csv"))
    arguments = parser.parse_args()
    samples = load_data([arguments.data])
    answer = in_browser(samples, arguments.packages.resolve())
    rows = []
    for name in shipped():
        predictor = Predictor(name, num_threads=1)
        found = answer["results"][name]
        there = np.array(
            [
                [[point["x"], point["y"]] for point in result["pose"]["keypoints"]]
                for result in found
            ]
        )
        milliseconds = float(np.median([result["milliseconds"] for result in found]))
        here, milliseconds_here = predict_here(predictor, samples)
        distances = input_distances(there, here, samples, predictor)
        rows.append(
            [
                *(name, describe_spec(arguments.data), len(samples)),
                *(f"{pck(points, samples):.1f}" for points in (there, here)),
                *(f"{np.percentile(distances, share):.2f}" for share in (50, 95)),
                *(f"{value:.2f}" for value in (milliseconds, milliseconds_here)),
                *(answer["browser"], __version__, describe_machine()),
            ]
        )
        print(*rows[-1])
    write_csv(arguments.out, HEADER, rows)
    update_table(Path("docs/deploy.md"), "browser", table(rows))


def table(rows: Sequence[Sequence[object]]) -> str:
    """Return the rows as a Markdown table, one line per model."""
    columns = (
        *("model", "PCK@0.2 in the browser", "in Python", "median", "95 % within"),
        *("a prediction", "in Python"),
    )
    lines = []
    for row in rows:
        cells = dict(zip(HEADER, row, strict=True))
        lines.append(
            (
                f"`{cells['model']}`",
                *(f"{cells[key]} %" for key in ("pck_0.2", "pck_0.2_here")),
                *(f"{cells[key]} px" for key in ("median_px", "p95_px")),
                *(f"{cells[key]} ms" for key in ("milliseconds", "milliseconds_here")),
            )
        )
    return markdown_table(columns, lines)


def in_browser(samples: Sequence[Sample], packages: Path) -> dict[str, Any]:
    """Return what ``browser.mjs`` finds: a pose per person, by model."""
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        for name, path in shipped().items():
            export_web(path, site / "export")
            (site / "export" / MODEL).rename(site / f"{name}.tflite")
        (site / "export/tinypose.js").rename(site / "tinypose.js")
        (site / "page.html").write_text(PAGE)
        pictures = [Path(str(sample.picture)) for sample in samples]
        handler = partial(Handler, packages=packages, pictures=pictures, directory=site)
        server = ThreadingHTTPServer(("localhost", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        job = {
            "server": f"http://localhost:{server.server_port}",
            "packages": str(packages),
            "models": list(shipped()),
            "people": [
                {"url": f"/pictures/{index}", "box": list(map(float, sample.box_xywh))}
                for index, sample in enumerate(samples)
            ],
        }
        script = str(Path(__file__).with_suffix(".mjs"))
        result = subprocess.run(
            ["node", script], input=json.dumps(job), stdout=subprocess.PIPE, text=True
        )
        server.shutdown()
    if result.returncode:
        raise SystemExit("expected poses from the browser, found none; see above")
    return dict(json.loads(result.stdout))


def predict_here(
    predictor: Predictor, samples: Sequence[Sample]
) -> tuple[NDArray[np.float64], float]:
    """Return keypoints (num_people, num_keypoints, 2) and milliseconds, in Python."""
    found, seconds = [], []
    for sample in samples:
        image = sample.load_image()
        begun = time.perf_counter()
        pose = predictor(image, sample.box_xywh)
        seconds.append(time.perf_counter() - begun)
        found.append(pose.keypoints_xy)
    return np.array(found, np.float64), 1000 * float(np.median(seconds))


def input_distances(
    there: NDArray[np.float64],
    here: NDArray[np.float64],
    samples: Sequence[Sample],
    predictor: Predictor,
) -> NDArray[np.float64]:
    """Return how far both are apart, in pixels of the network's input."""
    height, width = predictor.metadata.input_hw
    sides = np.array(
        [
            max(sample.box_xywh[2], sample.box_xywh[3] * width / height)
            for sample in samples
        ]
    )
    pixels = sides * predictor.metadata.padding / width
    return np.asarray(np.linalg.norm(there - here, axis=2) / pixels[:, None])


def pck(points: NDArray[np.float64], samples: Sequence[Sample]) -> float:
    """Return PCK@0.2 in percent, the mean of the keypoints."""
    truth = np.stack([sample.keypoints_xy for sample in samples])
    visible = np.stack([sample.visible for sample in samples])
    torsos = measure_references(samples).pck
    errors = normalised_errors(points, truth, visible, torsos)
    return float(pck_of_errors(errors).mean)


if __name__ == "__main__":
    run_script(main)
