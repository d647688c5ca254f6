"""What README and docs show runs as it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
