"""docs/configuration.md has every key, as the source has it."""

import importlib
import re
from pathlib import Path

import pytest

from tinypose.config import Config
from tinypose.models import FAMILIES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")


@pytest.fixture
def configuration(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("configuration")


def test_the_page_is_in_step_with_the_source(configuration) -> None:
    for name, table in configuration.tables().items():
        mark = f"<!-- {name} -->\n{table}<!-- /{name} -->"
        assert mark in PAGE, "run python benchmarks/configuration.py"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_page_names_every_key_of_a_configuration(family) -> None:
    values = Config(family=family).to_dict()
    keys = {f"training.{key}" for key in values["training"]}
    keys |= {f"augment.{key}" for key in values["augment"]}
    keys |= {f"model.{key}" for key in values["model"]}
    section = PAGE.partition("## Model")[0]
    section += PAGE.partition(f"<!-- {family} -->")[2].partition("<!-- /")[0]
    assert keys <= set(re.findall(r"^\| `([\w.]+)` \|", section, re.MULTILINE))
