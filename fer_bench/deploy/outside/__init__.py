"""Models of other programs, evaluated as they are: an ONNX file, an image classifier of transformers, a function."""
