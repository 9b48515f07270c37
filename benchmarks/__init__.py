"""Benchmarks that anybody can run again: ``python -m benchmarks``. See docs/benchmarks.md for what they found."""
