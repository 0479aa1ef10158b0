"""What is asked across manifests, blobs and the catalog's versions."""

# fmt: off
from muniment.server.artifacts.reads.files import (
    Reach,
    RecentManifests,
    Standing,
    find_file,
    get_manifest,
    parse_manifest,
    required_blobs,
    standing,
    usable_blobs,
)
from muniment.server.artifacts.reads.folds import FOLDS
from muniment.server.artifacts.reads.scrubs import damaged, gauges, scrub_passes, suspects, use_of

__all__ = [
    "FOLDS", "Reach", "RecentManifests", "Standing", "damaged", "find_file", "gauges", "get_manifest", "parse_manifest",
    "required_blobs", "scrub_passes", "standing", "suspects", "usable_blobs", "use_of",
]
