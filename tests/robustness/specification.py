"""Every function of nncore.reference, as those of nncore.ops."""

from __future__ import annotations

from nncore import reference
from robustness.ops import ARGUMENTS, entry

ENTRIES = [entry(name, reference) for name in ARGUMENTS]
