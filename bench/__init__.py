"""The measurements behind the defaults: ``python -m bench`` (docs/benchmarks.md)."""
