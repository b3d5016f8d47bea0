"""TorchServe handler for a plain TorchScript file: `{"instances": [...]}` in, `{"predictions": [...]}` out.

Layout TorchServeStore packs it beside the model. Requests in one batch run together where their rows have the same
shape; where the model refuses the batch, each runs alone, so that one bad request does not fail the others.
"""

import json
from pathlib import Path

import torch

state = {}


def handle(requests, context):
    """One answer for each request; TorchServe calls it once without requests, for loading."""
    if "model" not in state:
        torch.set_num_threads(1)
        folder = Path(context.system_properties["model_dir"])
        state["model"] = torch.jit.load(str(folder / "model.pt"), map_location="cpu").eval()
    if not requests:
        return []
    rows = [parsed(request) for request in requests]
    try:
        return [{"predictions": part.tolist()} for part in torch.split(run(torch.cat(rows)), [len(r) for r in rows])]
    except RuntimeError:
        if len(rows) == 1:
            raise
        return [alone(each) for each in rows]


def alone(rows):
    try:
        return {"predictions": run(rows).tolist()}
    except RuntimeError as error:
        return {"error": str(error).strip().splitlines()[-1]}


def run(rows):
    with torch.inference_mode():
        return state["model"](rows)


def parsed(request):
    body = request.get("body", request.get("data"))
    document = json.loads(body) if isinstance(body, bytes | bytearray | str) else body
    return torch.tensor(document["instances"], dtype=torch.float32)
