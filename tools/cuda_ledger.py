"""What each unit of the CUDA library takes of a multiprocessor, from the logs that tools/build_cuda.sh leaves behind:
cuda_ledger.py FOLDER [--write]. Compared with csrc/cuda/ledger.txt, for a change that costs registers or puts an array
into local memory is easily made and not seen. Another release of nvcc takes other registers: then nothing is compared."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

LEDGER = Path(__file__).parent.parent / "csrc" / "cuda" / "ledger.txt"
_ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(sm_\w+)'")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")


def entries(log: str) -> dict[str, list[tuple[int, int, int]]]:
    """By target, of each kernel: registers, bytes of stack, bytes spilled."""
    found = defaultdict(list)
    target, stack, spilled = "", 0, 0
    for line in log.splitlines():
        if match := _ENTRY.search(line):
            target = match[2]
        elif match := _STACK.search(line):
            stack, spilled = int(match[1]), int(match[2]) + int(match[3])
        elif (match := _USED.search(line)) and target:
            found[target].append((int(match[1]), stack, spilled))
            target = ""
    return found


def compiler() -> str:
    """nvcc and its release."""
    said = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    return "nvcc " + re.findall(r"V(\d+\.\d+\.\d+)", said)[0]


def ledger(folder: Path) -> str:
    """A line for every unit and target."""
    lines = [f"# {compiler()}; unit, target: kernels, registers of the largest, of all together, most stack, spills"]
    for log in sorted(folder.glob("*.o.log")):
        for target, kernels in sorted(entries(log.read_text()).items()):
            registers = [k[0] for k in kernels]
            stack, spilled = max(k[1] for k in kernels), sum(k[2] for k in kernels)
            lines.append(
                f"{log.name.split('.')[0]} {target}: {len(kernels)}, {max(registers)}, {sum(registers)}, {stack}, {spilled}"
            )
    return "\n".join(lines) + "\n"


def main(folder: str, *options: str) -> None:
    """Writes the ledger, or exits with what differs from the one that is committed."""
    now = ledger(Path(folder))
    if "--write" in options:
        LEDGER.write_text(now)
        return
    by = LEDGER.read_text().split(";")[0].removeprefix("# ")
    if by != compiler():
        print(f"!!!! csrc/cuda/ledger.txt was written with {by} and is not compared with what {compiler()} makes")
        return
    compiled = {line.split(":")[0].split()[-1] for line in now.splitlines()[1:]}  # maybe not for every target
    before = {line for line in LEDGER.read_text().splitlines()[1:] if line.split(":")[0].split()[-1] in compiled}
    if changed := set(now.splitlines()[1:]) ^ before:
        sys.exit(
            "csrc/cuda/ledger.txt is not what was compiled; cuda_ledger.py --write:\n" + "\n".join(sorted(changed))
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
