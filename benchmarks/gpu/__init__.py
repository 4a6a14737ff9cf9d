"""The fused network on a GPU: PyTorch's ways and TensorRT's engines, beside the card's own ceiling."""
