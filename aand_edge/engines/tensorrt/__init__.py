"""TensorRT 10.3 to 11 and TensorRT-RTX: one recipe, and only the names that all of them have."""
