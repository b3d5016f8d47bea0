"""What the TorchServe image adds to TorchServe."""
