"""What the company decided: the typed rulebook and how it is loaded. Pure."""

from watchtower.rulebook.load import CONNECTING, DEFAULT, Loaded, from_content, load, survey
from watchtower.rulebook.model import Acceptance, FieldModel, Rulebook, RuleModel, SignalModel

__all__ = [
    "CONNECTING",
    "DEFAULT",
    "Acceptance",
    "FieldModel",
    "Loaded",
    "RuleModel",
    "Rulebook",
    "SignalModel",
    "from_content",
    "load",
    "survey",
]
