"""From a trained model to one ONNX graph, checked against PyTorch before it is handed on."""
