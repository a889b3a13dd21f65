"""A holder's data: where it lies, what a study reads of it, and the one view through which it is read."""

from salerno.holdings.model.apps import App, Learning, Task, Trained
from salerno.holdings.model.deletion import Deletion
from salerno.holdings.model.frames import (
    Concepts,
    Covariate,
    DrugUse,
    EventDefinition,
    Population,
    Rows,
    StudyFrame,
    Treatments,
)
from salerno.holdings.model.holding import (
    AccessRequest,
    AttritionStep,
    Dictionary,
    Holding,
    KeptFor,
    Measured,
    SourceKind,
)
from salerno.holdings.model.persons import NO_NUMBERS, Contributions, Numbers, PersonSets, Told

__all__ = [
    "NO_NUMBERS",
    "AccessRequest",
    "App",
    "AttritionStep",
    "Concepts",
    "Contributions",
    "Covariate",
    "Deletion",
    "Dictionary",
    "DrugUse",
    "EventDefinition",
    "Holding",
    "KeptFor",
    "Learning",
    "Measured",
    "Numbers",
    "PersonSets",
    "Population",
    "Rows",
    "SourceKind",
    "StudyFrame",
    "Task",
    "Told",
    "Trained",
    "Treatments",
]
