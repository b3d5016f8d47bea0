"""An example of an image of your own: FastAPI around an ONNX model."""
