"""Pictures in: layouts, reading, checking, resizing, the rendered sample set, synthetic anomalies."""
