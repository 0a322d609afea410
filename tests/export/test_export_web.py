"""``tinypose export --target web``: what is written, and when nothing is."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tinypose.cli.main import main
from tinypose.errors import UsageError
from tinypose.export import web
from tinypose.export.web import MODEL, PAGES, export_web
from tinypose.inference.predictor import Predictor
from tinypose.metadata import read_metadata, replace_metadata
from tinypose.weights import shipped


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_folder_has_the_pages_and_the_model(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    written = export_web(shipped()["nano"], folder, name="mine", licence="MIT")
    assert set(contents(folder)) == {MODEL, *PAGES}
    metadata = read_metadata(folder / MODEL)
    assert metadata == written
    assert (metadata.name, metadata.licence) == ("mine", "MIT")
    assert Predictor(folder / MODEL).name == "mine"
    # The page names what the folder has, and one version of what runs it.
    page = (folder / "index.html").read_text()
    assert f"'{MODEL}'" in page and "'./tinypose.js'" in page
    assert page.count("@2.5.3/") == 3


def test_terms_of_the_first_weights_stay_beside_others(tmp_path: Path) -> None:
    file = tmp_path / "tuned.tflite"
    shutil.copy(shipped()["nano"], file)
    nano = read_metadata(file)
    replace_metadata(file, replace(nano, name="tuned", origins=nano.as_origins()))
    written = export_web(file, tmp_path / "site", licence="MIT")
    assert written.licence == f"MIT; derived from nano: {nano.licence}"


def test_an_earlier_export_is_replaced(tmp_path: Path) -> None:
    export_web(shipped()["nano"], tmp_path, name="first")
    export_web(shipped()["nano"], tmp_path, name="second")
    assert read_metadata(tmp_path / MODEL).name == "second"


def test_an_export_of_an_earlier_version_is_replaced(tmp_path, monkeypatch) -> None:
    export_web(shipped()["nano"], tmp_path)
    earlier = contents(tmp_path)
    page = web._page

    def later(name: str) -> str:
        text = page(name).rpartition("\n")[0].rpartition("\n")[0] + "\n// newer\n"
        return text + web._seal(name, text)

    monkeypatch.setattr(web, "_page", later)
    export_web(shipped()["nano"], tmp_path)
    assert all(contents(tmp_path)[page] != earlier[page] for page in PAGES)


def test_a_model_alone_is_somebody_s(tmp_path: Path) -> None:
    shutil.copyfile(shipped()["nano"], tmp_path / MODEL)
    with pytest.raises(UsageError, match=f"found '{MODEL}' in it"):
        export_web(shipped()["tiny"], tmp_path)
    assert read_metadata(tmp_path / MODEL).name == "nano"


@pytest.mark.parametrize("name", ["app.js", *PAGES])
def test_work_of_others_stays(tmp_path: Path, name: str) -> None:
    export_web(shipped()["nano"], tmp_path)
    (tmp_path / name).write_text("my own page")
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=f"found '{name}' in it"):
        export_web(shipped()["nano"], tmp_path)
    assert contents(tmp_path) == before


def test_a_file_of_heatmaps_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "heads.tflite"
    shutil.copyfile(shipped()["nano"], file)
    replace_metadata(file, replace(read_metadata(file), output="heatmaps"))
    with pytest.raises(UsageError, match="export it without --heads"):
        export_web(file, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_file_for_several_pictures_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tinypose.export.web.batch_of", lambda path: 4)
    with pytest.raises(UsageError, match="found one for 4; export it without --batch"):
        export_web(shipped()["nano"], tmp_path / "site")


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return int(str(stop.value.code)), output.out, output.err


def test_the_command_says_how_to_look_at_it(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "site"
    code, out, err = run(capsys, "export", "nano", "--to", folder, "--target", "web")
    assert code == 0, err
    assert f"http.server --directory {folder}" in out
    assert read_metadata(folder / MODEL).name == "nano"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["small", "--heads"], "the target web takes no --heads"),
        (["small", "--precision", "int8"], "the target web takes no --precision"),
        (["runs/mine"], "first  tinypose export runs/mine --to FILE.tflite"),
    ],
)
def test_what_it_does_not_take_is_one_line(
    tmp_path: Path, capsys, arguments: list[str], message: str
) -> None:
    to = ["--to", tmp_path / "site", "--target", "web"]
    code, _, err = run(capsys, "export", *arguments, *to)
    assert (code, message in err, err.count("\n")) == (2, True, 1), err
    assert not (tmp_path / "site").exists()
