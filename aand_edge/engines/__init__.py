"""Engines: build, accept, load. One protocol (`base`), one file a backend."""
