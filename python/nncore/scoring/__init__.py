"""Metrics computed from outputs, over whole sets of samples; `nncore.metrics` is their public place."""
