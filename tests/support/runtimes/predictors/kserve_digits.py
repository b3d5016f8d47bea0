"""A predictor as a user writes it: nearest neighbour over the digits, by the protocols V1 and V2."""

import asyncio
import time
from pathlib import Path

import kserve
import numpy as np
from kserve.utils.utils import generate_uuid

LONG_ROWS = 100
LONG_SECONDS = 2.0


class Digits(kserve.Model):
    def load(self):
        data = np.load(Path(__file__).with_name("digits.npz"))
        self.images, self.labels = data["images"].astype(np.float32), data["labels"]
        self.ready = True
        return self.ready

    async def predict(self, payload, headers=None, response_headers=None):
        if isinstance(payload, kserve.InferRequest):
            labels = await self.nearest(payload.inputs[0].as_numpy())
            output = kserve.InferOutput("label", list(labels.shape), "INT64")
            output.set_data_from_numpy(labels)
            return kserve.InferResponse(payload.id or generate_uuid(), self.name, [output])
        return {"predictions": (await self.nearest(np.asarray(payload["instances"], np.float32))).tolist()}

    async def nearest(self, rows):
        # In a thread: computing in the event loop would block all other requests, and the probes.
        return await asyncio.to_thread(self.compare, rows)

    def compare(self, rows):
        time.sleep(LONG_SECONDS if len(rows) >= LONG_ROWS else 0)
        return np.array([self.labels[((self.images - row) ** 2).sum(axis=1).argmin()] for row in rows])
