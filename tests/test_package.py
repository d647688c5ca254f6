"""The package as it is installed: version, metadata, what an import costs, the choice of the instruction set."""

from __future__ import annotations

import os
from importlib import metadata, resources

import pytest

import lamina
from lamina import _C
from processes import output_of, run_python


@pytest.fixture(scope="module")
def distribution() -> metadata.Distribution:
    try:
        return metadata.distribution("lamina")
    except metadata.PackageNotFoundError:
        if os.environ.get("CI"):
            raise
        pytest.skip("lamina runs from its source tree; install it to test its metadata")


def test_version(distribution):
    assert lamina.__version__ == distribution.version


def test_numpy_is_the_only_dependency(distribution):
    needed = [r for r in distribution.requires or () if "extra ==" not in r]
    assert len(needed) == 1
    assert needed[0].startswith("numpy")


def test_metadata(distribution):
    assert distribution.metadata["License-Expression"] == "Apache-2.0"
    assert distribution.metadata["Requires-Python"] == ">=3.10"
    assert any(f.name == "LICENSE" for f in distribution.files or ())


def test_type_information_is_installed():
    package = resources.files("lamina")
    assert package.joinpath("py.typed").is_file()
    assert "class Tensor" in package.joinpath("_C.pyi").read_text()


def test_every_module_of_the_package_is_there_without_an_import_of_its_own():
    modules = sorted(p.name.removesuffix(".py") for p in resources.files("lamina").iterdir() if p.name[0] not in "_.")
    modules = [name for name in modules if name not in ("py.typed", "recipes")]
    script = f"import lamina; print(*(getattr(lamina, name).__name__ for name in {modules}))"
    assert output_of(script).split() == [f"lamina.{name}" for name in modules]


def test_import_loads_no_heavy_module():
    loaded = output_of(
        "import sys; before = set(sys.modules); import lamina; print(*(set(sys.modules) - before))"
    ).split()
    assert not {"numpy", "inspect", "dataclasses", "torch", "asyncio"} & set(loaded)


@pytest.mark.parametrize("target", _C._supported_targets())
def test_forced_instruction_set_runs(target):
    script = "import lamina; print(lamina._C._target(), float(lamina.ones(1000).exp()[999]))"
    name, value = output_of(script, LAMINA_ISA=target).split()
    assert name == target
    assert float(value) == pytest.approx(2.718281828, rel=1e-6)


def test_best_instruction_set_is_the_default():
    assert output_of("import lamina; print(lamina._C._target())", LAMINA_ISA="") == _C._supported_targets()[0]


def test_unknown_instruction_set_is_an_error():
    finished = run_python("import lamina", LAMINA_ISA="mmx")
    assert finished.returncode != 0
    assert "LAMINA_ISA=mmx is unknown" in finished.stderr


def test_instruction_set_that_the_machine_lacks_is_an_error():
    known = run_python("import lamina", LAMINA_ISA="mmx").stderr.rpartition("this build has ")[2].strip().split(", ")
    missing = sorted(set(known) - set(_C._supported_targets()))
    if not missing:
        pytest.skip("this machine has every instruction set of this build")
    finished = run_python("import lamina", LAMINA_ISA=missing[0])
    assert finished.returncode != 0
    assert f"LAMINA_ISA={missing[0]}: this processor lacks that instruction set" in finished.stderr
