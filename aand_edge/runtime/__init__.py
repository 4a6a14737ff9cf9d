"""Beside the conveyor: from an engine's raw answer to a verdict."""
