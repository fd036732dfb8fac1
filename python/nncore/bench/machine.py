"""The machine: its name, and what it can do at most, measured in the same run as the workloads."""

from __future__ import annotations

import io
import os
import platform
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import nncore as nn

__all__ = ["Peaks", "cpu_name", "describe", "installed_size", "measure_peaks", "versions", "zipped_size"]

_KINDS = ("read", "triad", "triad_streaming")


@dataclass(frozen=True)
class Peaks:
    """What a number of threads reaches at most.

    Attributes:
        isa: the instruction set, that of nncore's kernels.
        flops: single-precision operations per second of multiply-adds in registers.
        bandwidth: for each size of working set in bytes, bytes per second of reading it, and of a[i] = b[i] + s c[i]
            with plain and with streaming stores (counted as the program sees them: twelve bytes each).
    """

    isa: str
    flops: float
    bandwidth: Mapping[int, Mapping[str, float]]

    def traffic(self, footprint: float) -> float:
        """Bytes per second of the best triad over so many bytes."""
        best = {size: max(row["triad"], row["triad_streaming"]) for size, row in self.bandwidth.items()}
        return float(np.interp(np.log(max(footprint, 1)), np.log(list(best)), list(best.values())))

    def best(self, other: Peaks) -> Peaks:
        """The higher of each of two measurements."""
        bandwidth = {
            size: {kind: max(rate, other.bandwidth[size][kind]) for kind, rate in row.items()}
            for size, row in self.bandwidth.items()
        }
        return Peaks(self.isa, max(self.flops, other.flops), bandwidth)

    def seconds(self, flops: float, moved: float, footprint: float) -> float:
        """The least time for so many operations and bytes moved."""
        return max(flops / self.flops, moved / self.traffic(footprint))


def measure_peaks(threads: int, seconds: float) -> Peaks:
    """The best of two trials of each, about `seconds` long; the largest memory is four times the last-level cache."""
    from nncore import _core, _probe  # here: the report needs no compiled module

    isa = _core.isa()
    sizes = [2**exponent for exponent in range(14, 27, 2)] + [max(2**27, 4 * _cache_size())]
    bandwidth = {
        size: {kind: max(_probe.bandwidth(isa, kind, size, threads, seconds) for _ in range(2)) for kind in _KINDS}
        for size in sizes
    }
    return Peaks(isa, max(_probe.flops(isa, threads, seconds) for _ in range(2)), bandwidth)


def _cache_size() -> int:
    """Bytes of the last-level cache as the system tells them; 0 where it does not."""
    sizes = [0]
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        found = re.fullmatch(r"(\d+)([KM])", path.read_text().strip())
        if found:
            sizes.append(int(found[1]) * {"K": 2**10, "M": 2**20}[found[2]])
    return max(sizes)


def cpu_name() -> str:
    """The processor's name as the system knows it."""
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.is_file() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def describe() -> dict[str, str | int]:
    """What tells this machine from others, without the names of people, hosts and folders."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count() or 1,
        "threads": nn.get_num_threads(),
        "last-level cache": f"{_cache_size() / 2**20:g} MiB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def versions(modules: tuple[str, ...]) -> dict[str, str]:
    """Version of the distribution of each module."""
    owners = metadata.packages_distributions()
    return {module: metadata.version(owners.get(module, [module])[0]) for module in modules}


def installed_size(modules: tuple[str, ...]) -> int:
    """Bytes of the files of packages, without compiled bytecode."""
    return sum(path.stat().st_size for module in modules for path in _files(module).values())


def zipped_size(module: str) -> int:
    """Bytes of a package's files in an archive like a wheel."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, path in _files(module).items():
            file.write(path, name)
    return len(archive.getvalue())


def _files(module: str) -> dict[str, Path]:
    """A package's files by their names in it."""
    spec = find_spec(module)
    folders = spec.submodule_search_locations if spec else None
    paths = {str(path.relative_to(folder)): path for folder in folders or () for path in Path(folder).rglob("*")}
    return {name: path for name, path in paths.items() if path.is_file() and "__pycache__" not in path.parts}
