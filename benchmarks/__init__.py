"""Speed and memory beside other frameworks. Run ``python -m benchmarks tape``."""
