"""All pages: their commands exist as written, and so do the files that they link."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import typer

from tinypose.cli.main import app
from tinypose.config import find_config, load_config

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]


def commands() -> list[tuple[str, str]]:
    """Return the commands of all pages, each with its page: whole lines and in text."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        shown = re.findall(r"^ {4}[^\n]+$|```.*?```", text, re.MULTILINE | re.DOTALL)
        lines = re.findall(r"^ *(tinypose [a-z].+)$", "\n".join(shown), re.MULTILINE)
        lines += re.findall(r"`(tinypose [a-z][^`\n]+)`", text)
        found += [(page.name, line) for line in dict.fromkeys(lines)]
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_have_the_options_and_configurations_that_they_name(page, line):
    command, words = typer.main.get_command(app), shlex.split(line)[1:]
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands
        command = command.commands[words.pop(0)]
    known = {
        name
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    named = {word.partition("=")[0] for word in words if re.match("--?[a-z]", word)}
    assert named <= known | {"--help", "--version"}
    assert all((ROOT / word).is_file() for word in words if word.startswith("configs/"))
    if command.name == "train" and words and re.match(r"[a-z]", words[0]):
        if words[0].startswith("runs/"):
            return  # a run's own
        changes = [value for word, value in pairwise(words) if word == "--set"]
        load_config(find_config(words[0]), changes)


def test_the_pages_have_commands() -> None:
    pages = {page for page, _ in commands()}
    assert {"README.md", "recipe.md", "deploy.md", "data.md", "lessons.ko.md"} <= pages
    assert len(commands()) > 50


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_linked_files_exist(page) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_linked_headings_exist(page) -> None:
    for file, heading in re.findall(
        r"\]\(([^)#\s:]*)#([^)\s]+)\)", page.read_text(encoding="utf-8")
    ):
        target = page.parent / file if file else page
        titles = re.findall(
            r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE
        )
        # As GitHub makes them: lower case, marks left out, dashes for spaces.
        made = {
            re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles
        }
        assert heading in made
