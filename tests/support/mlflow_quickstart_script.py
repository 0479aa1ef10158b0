"""MLflow's first steps, as its documentation has a newcomer take them, with its server on this machine."""

import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import mlflow  # type: ignore[import-not-found]  # noqa: E402
from mlflow.models import infer_signature  # type: ignore[import-not-found]  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.metrics import accuracy_score  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402

mlflow.set_tracking_uri("http://127.0.0.1:8080")
mlflow.set_experiment("MLflow Quickstart")

flowers = load_iris(as_frame=True)
train, test, train_kinds, test_kinds = train_test_split(
    flowers.data, flowers.target, test_size=0.2, random_state=42
)
parameters = {"solver": "lbfgs", "max_iter": 1000, "random_state": 8888}

mlflow.sklearn.autolog(log_models=False)
with mlflow.start_run():
    model = LogisticRegression(**parameters).fit(train, train_kinds)
    mlflow.log_metric("accuracy", accuracy_score(test_kinds, model.predict(test)))
    mlflow.set_tag("Training Info", "A basic model for the iris data")
    logged = mlflow.sklearn.log_model(
        sk_model=model,
        name="iris_model",
        signature=infer_signature(train, model.predict(train)),
        input_example=train.head(3),
        registered_model_name="tracking-quickstart",
    )

again = mlflow.pyfunc.load_model(logged.model_uri)
same = (again.predict(test) == model.predict(test)).all()
Path("quickstart.txt").write_text("as trained" if same else "otherwise")
