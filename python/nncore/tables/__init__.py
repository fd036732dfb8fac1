"""The parts of the op table; `nncore.optable` is their one door."""
