"""Use cases of the catalogue: publish, withdraw, harvest, search, and check of a file."""

from salerno.catalogue.service.catalogue import Catalogue, CatalogueCache, CatalogueStore, StoredDataset
from salerno.catalogue.service.check import check_file
from salerno.catalogue.service.harvest import CatalogueSource, Fetched, HarvestState, harvest_outside

__all__ = [
    "Catalogue",
    "CatalogueCache",
    "CatalogueSource",
    "CatalogueStore",
    "Fetched",
    "HarvestState",
    "StoredDataset",
    "check_file",
    "harvest_outside",
]
