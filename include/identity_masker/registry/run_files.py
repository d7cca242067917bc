"""Where a run keeps what: paths among its MLflow artifacts."""

CONFIG = "config.json"
MODEL = "model"
TRAINING = "training.json"
EVIDENCE = "evaluation/evaluation.json"
JUDGEMENT = "evaluation/judgement.json"
REPORT = "evaluation/report.html"
PICTURE = "evaluation/before-after.png"
