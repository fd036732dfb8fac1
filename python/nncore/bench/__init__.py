"""The benchmark suite: one table of workloads, a process for each contender and thread count, and the report."""

from __future__ import annotations

__all__: list[str] = []
