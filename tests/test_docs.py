"""What README and docs show runs as it is written."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from lamina import data, decode, detect, metrics, models, nn, optim, train
from lamina.recipes import RECIPES
from processes import run_python

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]) if (ROOT / "README.md").exists() else []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_run(page, tmp_path):
    """All blocks of a page, each after those above it, in a folder of their own."""
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M)
    script = f"import os\nos.chdir({str(tmp_path)!r})\n" + "\n".join(blocks)
    finished = run_python(script)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_are_there(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" in target:
            continue
        file = page.parent / target
        if file.suffix in (".png", ".svg") and not (ROOT / ".ci").exists():
            continue  # the source distribution leaves pictures out
        assert file.exists(), f"{page.name} points to {target}"
        if file.suffix == ".png":
            assert file.stat().st_size < 200_000


def curriculum() -> list[tuple[str, str]]:
    """What the page names: (the API's column, the recipe's) of every row."""
    page = ROOT / "docs" / "curriculum.md"
    rows = [line.strip().strip("|").split("|") for line in page.read_text().splitlines() if line.startswith("| ")]
    return [(api, recipe) for _, api, recipe in rows if api.strip() != "API"]


@pytest.mark.skipif(not PAGES, reason="there are no docs here")
def test_the_curriculum_names_what_exists():
    """Every name of the library, every keyword in its call, every recipe."""
    modules = (data, decode, detect, metrics, models, nn, optim, train)
    names = {"F": nn.functional, **{module.__name__.rpartition(".")[2]: module for module in modules}}
    for api, recipes in curriculum():
        for name, keywords in re.findall(r"`([\w.]+)(?:\(([^`]*)\))?`", api):
            first, *rest = name.split(".")
            found = names[first]
            for part in rest:
                found = getattr(found, part)
            # What a class passes on with **kwargs stands in the signature, or the text, of one that it is made of.
            lineage = [c for c in getattr(found, "__mro__", [found]) if c is not object]
            shown = "".join(f"{inspect.signature(c)} {c.__doc__}" for c in lineage) if keywords else ""
            for keyword in re.findall(r"(\w+)=", keywords):
                assert keyword in shown, f"{name} has no {keyword}"
        for recipe in re.findall(r"`(\w+)`", recipes):
            assert recipe in RECIPES


@pytest.mark.skipif(not PAGES, reason="there are no docs here")
def test_every_recipe_is_in_the_curriculum():
    assert set(RECIPES) == set(re.findall(r"`(\w+)`", " ".join(recipes for _, recipes in curriculum())))
