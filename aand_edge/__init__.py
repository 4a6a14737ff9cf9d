"""aand-edge: train AAND, fuse it into one ONNX graph, build an engine, and judge parts beside a conveyor."""

__version__ = "0.1.0"
