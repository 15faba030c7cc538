"""The composition root of the workers: it knows them, their models and the jobs database, and nothing of the core.

A worker process needs the address of the jobs database and the settings of its model. It reads batches, answers
each request and commits it at once, and can be killed at any moment: what it answered stays, the rest is
begun again by another, and a call to a model that it had intended is not made a second time.
"""

from watchtower.workers.bench import Bench, detector_names, no_worker
from watchtower.workers.calibrate import calibrate
from watchtower.workers.models import model_catalogue, model_name, model_status, open_worker, pull_model, slots
from watchtower.workers.normal import normalised, normaliser_examples, normaliser_kinds
from watchtower.workers.offline import open_offline
from watchtower.workers.pages import PagesRead, read_pages, shown_document
from watchtower.workers.pairs import Duplicates, compare_records, find_duplicates, matched_objects
from watchtower.workers.run import run_for_good, run_until_empty
from watchtower.workers.training import LabelledRow, shelf_folder, stamp, train, trained

__all__ = [
    "Bench",
    "LabelledRow",
    "Duplicates",
    "PagesRead",
    "calibrate",
    "compare_records",
    "detector_names",
    "find_duplicates",
    "matched_objects",
    "model_catalogue",
    "model_name",
    "model_status",
    "no_worker",
    "normalised",
    "normaliser_examples",
    "normaliser_kinds",
    "open_offline",
    "open_worker",
    "pull_model",
    "read_pages",
    "run_for_good",
    "run_until_empty",
    "slots",
    "shelf_folder",
    "shown_document",
    "stamp",
    "train",
    "trained",
]
