"""A handler as a user writes it: a list of images in, their labels out."""

from pathlib import Path

import torch

state = {}


def handle(requests, context):
    if "model" not in state:
        state["model"] = torch.jit.load(str(Path(context.system_properties["model_dir"]) / "digits.pt")).eval()
    return [state["model"](torch.tensor(request["body"], dtype=torch.float32)).tolist() for request in requests or ()]
