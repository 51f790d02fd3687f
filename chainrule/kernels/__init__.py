"""Kernels: arrays in, arrays out. They know nothing of Variables; ``functional`` makes them differentiable."""
