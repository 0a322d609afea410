import json
import subprocess
import sys

import numpy as np
import pytest

from tinypose.cli.main import main
from tinypose.images import read_image, write_image


def _run(*arguments):
    with pytest.raises(SystemExit) as caught:
        main(["data", *map(str, arguments)])
    return caught.value.code or 0


def _coco(folder, pictures=("a.png",)):
    """Write three people, one of them without labels, of 17 keypoints."""
    from tinypose.skeletons import COCO

    for name in pictures:
        write_image(folder / name, np.full((40, 50, 3), 90, np.uint8))
    points = [v for k in range(17) for v in (5 + 2 * k, 4 + 2 * k, 2)]
    people = [(1, points), (2, [v + v % 2 for v in points]), (2, [0] * 51)]
    content = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "categories": [{"id": 1, "keypoints": list(COCO.names)}],
        "annotations": [
            {"id": i, "image_id": image, "category_id": 1, "keypoints": keypoints}
            for i, (image, keypoints) in enumerate(people)
        ],
    }
    path = folder / "people.json"
    path.write_text(json.dumps(content))
    return path


def test_check_of_good_data(capsys):
    assert _run("check", "stick_people:1-3") == 0
    out = capsys.readouterr().out
    assert "3 people in 3 pictures" in out
    assert "nothing wrong found" in out


def test_check_says_what_is_wrong_and_writes_it(tmp_path, capsys):
    path = _coco(tmp_path)
    spec = f"coco={path}:1-2"
    code = _run("check", spec, "--data", "stick_people:1-2", "--out", tmp_path / "out")
    out, err = capsys.readouterr()
    # Half of the COCO pictures are missing, so training cannot start.
    assert code == 1
    assert "training cannot start: the pictures of 1 of 4 people" in err
    assert "pictures are missing" in out
    assert "people without a labelled keypoint, left out" in " ".join(out.split())
    value = json.loads((tmp_path / "out" / "check.json").read_text())
    assert value["num_samples"] == 4
    assert value["counts"]["missing_picture"] == 1
    assert (tmp_path / "out" / "index.html").exists()


def test_check_takes_only_some(capsys):
    assert _run("check", "stick_people:1-30", "--limit", 4) == 0
    assert "4 people" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["check"], 2, "expected labelled data", id="no data"),
        pytest.param(["check", "lps=x"], 2, "did you mean 'lsp'", id="misspelt"),
        pytest.param(["check", "lsp=/gone"], 1, "/gone", id="no such set"),
        pytest.param(
            ["check", "stick_people", "--limit", "0"], 2, "--limit", id="limit 0"
        ),
        pytest.param(["show", "stick_people"], 2, "--out", id="show without --out"),
        pytest.param(
            ["show", "stick_people", "--out", "x", "--count", "0"],
            2,
            "--count",
            id="count",
        ),
    ],
)
def test_wrong_arguments(arguments, code, message, capsys):
    assert _run(*arguments) == code
    assert message in capsys.readouterr().err


def test_show_draws_with_the_configured_heatmaps(tmp_path, capsys):
    pytest.importorskip("tensorflow")
    config = tmp_path / "small.yaml"
    config.write_text(
        "family: tiny_hourglass\nskeleton: lsp\nmodel:\n  input_hw: [64, 96]\n"
    )
    out = tmp_path / "look"
    arguments = ["stick_people:1-5", "--out", out, "--count", 2, "--config", config]
    assert _run("show", *arguments) == 0
    assert f"look at: {out / 'labels.jpg'}" in capsys.readouterr().out.replace("\n", "")
    first = read_image(out / "augmented.jpg")
    assert first.shape[0] > 512
    assert _run("show", *arguments, "--seed", 3) == 0
    second = read_image(out / "augmented.jpg")
    assert first.shape != second.shape or not np.array_equal(first, second)


@pytest.mark.parametrize("words", [["data"], ["data", "check"], ["data", "show"]])
def test_help_loads_nothing_heavy(words):
    code = (
        "import sys\nfrom tinypose.cli.main import main\n"
        f"try:\n    main({[*words, '--help']!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'tensorflow', 'keras', 'cv2', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Example" in done.stdout or words == ["data"]
