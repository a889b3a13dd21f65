"""Logistic regression by scikit-learn as a Flower app: a few steps of its solver in each round."""

import warnings

import numpy as np
import pandas as pd
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

app = ClientApp()


def load(context: Context) -> tuple[np.ndarray, np.ndarray]:
    """Features and outcome of the rows that this node may use."""
    config = context.run_config
    rows = pd.read_parquet(context.node_config["data-path"])
    divide_by = [float(part) for part in str(config["divide-by"]).split(",")]
    x = rows[str(config["features"]).split(",")].to_numpy(dtype=np.float64) / divide_by
    y = (rows[config["outcome"]].to_numpy() == 1).astype(np.int64)
    return x, y


def model_of(msg: Message, context: Context) -> LogisticRegression:
    """The model with the arrays of a message."""
    config = context.run_config
    model = LogisticRegression(C=1 / config["penalty"], max_iter=config["iterations"], warm_start=True)
    model.coef_, model.intercept_ = (array.copy() for array in msg.content["arrays"].to_numpy_ndarrays())
    model.classes_ = np.array([0, 1])
    return model


@app.train()
def train(msg: Message, context: Context) -> Message:
    """Go on from the arrays of the message."""
    x, y = load(context)
    model = model_of(msg, context)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few steps are all that is wanted
        model.fit(x, y)
    arrays = ArrayRecord([model.coef_, model.intercept_])
    loss = float(log_loss(y, model.predict_proba(x), labels=[0, 1]))
    metrics = MetricRecord({"loss": loss, "num-examples": len(y)})
    return Message(content=RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=msg)


@app.evaluate()
def evaluate(msg: Message, context: Context) -> Message:
    """Loss and accuracy of the arrays of the message."""
    x, y = load(context)
    found = model_of(msg, context).predict_proba(x)
    metrics = MetricRecord(
        {
            "loss": float(log_loss(y, found, labels=[0, 1])),
            "accuracy": float(((found[:, 1] > 0.5) == y).mean()),
            "num-examples": len(y),
        }
    )
    return Message(content=RecordDict({"metrics": metrics}), reply_to=msg)
