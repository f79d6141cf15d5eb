"""What "good" means: distances between sets of images, and scores of a representation."""

from v101_utils.metrics.classifier import Classifier, ClassifierTask, accuracy, recognised
from v101_utils.metrics.disentanglement import mutual_information, mutual_information_gap
from v101_utils.metrics.frechet import FrechetDistance
from v101_utils.metrics.latent_space import conditional_entropy, path_length, separability, slerp
from v101_utils.metrics.modes import mode_coverage
from v101_utils.metrics.shape_factors import MEASURED, measure_shapes
from v101_utils.metrics.two_sample import energy_distance, matching_distance, two_sample_test

__all__ = [
    "Classifier", "ClassifierTask", "FrechetDistance", "MEASURED", "accuracy", "conditional_entropy", "energy_distance",
    "matching_distance", "measure_shapes", "mode_coverage", "mutual_information", "mutual_information_gap", "path_length", "recognised",
    "separability", "slerp", "two_sample_test",
]  # fmt: skip
