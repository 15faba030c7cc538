"""The composition root of the workers: it knows them, their models and the jobs database, and nothing of the core.

A worker process needs the address of the jobs database and the settings of its model. It reads batches, answers
each request in a transaction of its own, and can be killed at any moment: what it answered stays, the rest is
begun again by another, and a call to a model that it had intended is not made a second time.
"""

from watchtower.workers.bench import Bench, detector_names, no_worker
from watchtower.workers.calibrate import calibrate
from watchtower.workers.models import model_catalogue, model_name, model_status, open_worker, pull_model
from watchtower.workers.run import run_for_good, run_until_empty

__all__ = [
    "Bench",
    "calibrate",
    "detector_names",
    "model_catalogue",
    "model_name",
    "model_status",
    "no_worker",
    "open_worker",
    "pull_model",
    "run_for_good",
    "run_until_empty",
]
