"""The loop left running with faults injected, and every frame accounted for."""
