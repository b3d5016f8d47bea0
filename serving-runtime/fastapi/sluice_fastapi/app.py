"""The HTTP interface: POST /predict, and the platform's /live, /ready and /metrics."""

import time
from typing import Any

import fastapi
import prometheus_client
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Request(BaseModel):
    instances: list[Any]


class Answer(BaseModel):
    predictions: list[Any]


def build(model, name):
    """The application around a loaded model."""
    app = fastapi.FastAPI(title=name)
    requests = prometheus_client.Counter("predict_requests", "Answers by status code.", ["model", "code"])
    seconds = prometheus_client.Histogram("predict_seconds", "Time to the answer.", ["model"], buckets=SECONDS)
    for code in ("200", "400", "500"):  # all series exist before the first request: no jump is lost
        requests.labels(name, code)

    @app.post("/predict")
    def predict(request: Request) -> Answer:  # not async: the model computes, and must not hold the event loop
        began, code = time.perf_counter(), "500"
        try:
            answer = Answer(predictions=model.predict(request.instances))
            code = "200"
            return answer
        except ValueError as error:
            code = "400"
            raise fastapi.HTTPException(400, str(error)) from error
        finally:
            requests.labels(name, code).inc()
            seconds.labels(name).observe(time.perf_counter() - began)

    @app.get("/live")
    async def live() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    @app.get("/ready")
    async def ready() -> JSONResponse:
        return JSONResponse({"status": "ready", "model": name})

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST)

    return app
