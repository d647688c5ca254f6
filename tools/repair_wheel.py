"""Makes a Linux wheel portable: python tools/repair_wheel.py <wheel> <directory for the result>.

auditwheel would copy libgomp under a name with a hash, as a second OpenMP run time beside that of PyTorch or
scikit-learn, and two of them wait for each other. So it is told to leave libgomp alone, and libgomp.so.1 is put beside
the module under its own name: the loader takes it only where no other package has loaded one yet.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

LIBRARY = "libgomp.so.1"
NOTICE = f"""{LIBRARY} in this wheel is the GNU OpenMP run time of GCC (https://gcc.gnu.org), unmodified.
It is free software under the GNU General Public License, version 3 or later, with the GCC Runtime Library Exception,
version 3.1, which permits its distribution beside programs under any licence:
https://www.gnu.org/licenses/gcc-exception-3.1.html
"""


def run(*command: str | Path) -> str:
    finished = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if finished.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{finished.stdout}{finished.stderr}")
    return finished.stdout


def resolved_library(module: Path) -> Path:
    """Where the loader of this machine finds the run time that the module was linked against."""
    found = re.search(rf"{re.escape(LIBRARY)} => (\S+)", run("ldd", module))
    if found is None:
        sys.exit(f"{module.name} does not use {LIBRARY}")
    return Path(found[1]).resolve()


def check_search_path(module: Path) -> None:
    if not re.search(r"\(R(?:UN)?PATH\).*\[\$ORIGIN\]", run("readelf", "--dynamic", module)):
        sys.exit(f"{module.name} does not look for {LIBRARY} in its own directory")


def bundle(unpacked: Path) -> None:
    (module,) = unpacked.glob("lamina/_C*.so")
    check_search_path(module)
    library = module.with_name(LIBRARY)
    library.write_bytes(resolved_library(module).read_bytes())
    library.chmod(0o755)
    (licenses,) = unpacked.glob("*.dist-info/licenses")
    (licenses / "libgomp.txt").write_text(NOTICE)


def pack(unpacked: Path, wheel: Path) -> None:
    """A wheel of everything in a folder, its list of contents (name, hash, size) written anew."""
    (record,) = unpacked.glob("*.dist-info/RECORD")
    files = sorted(p for p in unpacked.rglob("*") if p.is_file() and p != record)
    lines = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            name, content = file.relative_to(unpacked).as_posix(), file.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            lines.append(f"{name},sha256={digest},{len(content)}\n")
            archive.write(file, name)
        name = record.relative_to(unpacked).as_posix()
        archive.writestr(name, "".join([*lines, f"{name},,\n"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("destination", type=Path)
    parser.add_argument("--platform", help="for auditwheel; default: the oldest that fits")
    options = parser.parse_args()
    options.destination.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        platform = ["--plat", options.platform] if options.platform else []
        run("auditwheel", "repair", "--exclude", LIBRARY, *platform, "--wheel-dir", scratch, options.wheel)
        (repaired,) = Path(scratch).glob("*.whl")
        unpacked = Path(scratch, "unpacked")
        run(sys.executable, "-m", "zipfile", "--extract", repaired, unpacked)
        bundle(unpacked)
        pack(unpacked, options.destination / repaired.name)
    print(options.destination / repaired.name)


if __name__ == "__main__":
    main()
