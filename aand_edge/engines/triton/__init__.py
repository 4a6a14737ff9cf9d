"""Engines that an NVIDIA Triton server runs: the repository it reads, and the client that asks it."""
