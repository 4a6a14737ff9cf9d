"""Where events go: one file a sink, each a context manager with one `append`."""
