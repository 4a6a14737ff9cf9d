"""Measuring engines: latency, accuracy, and the report a person reads."""
