"""What a tutorial would have you do: FastAPI, joblib and uvicorn. Run with: uvicorn peer_fastapi:app"""

import os
import uuid

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = joblib.load(os.environ["MODEL"])


class Request(BaseModel):
    rows: list[list[float]]


@app.post("/deployments/bench/predict")
def predict(request: Request):
    scores = model.predict(np.array(request.rows))
    predictions = [{"id": str(uuid.uuid4()), "prediction": float(score)} for score in scores]
    return {"deployment": "bench", "model": "bench", "version": "1", "predictions": predictions}
