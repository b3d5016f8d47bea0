"""A service as a user writes it: nearest neighbour over the digits, with adaptive batching."""

import time
from pathlib import Path

import bentoml
import numpy as np

LONG_ROWS = 100
LONG_SECONDS = 2.0


@bentoml.service
class Digits:
    def __init__(self):
        data = np.load(Path(__file__).with_name("digits.npz"))
        self.images, self.labels = data["images"].astype(np.float32), data["labels"]

    @bentoml.api(batchable=True, max_batch_size=2000, max_latency_ms=60_000)
    def predict(self, images: np.ndarray) -> np.ndarray:
        time.sleep(LONG_SECONDS if len(images) >= LONG_ROWS else 0)
        rows = np.asarray(images, np.float32)
        return np.array([self.labels[((self.images - row) ** 2).sum(axis=1).argmin()] for row in rows])
