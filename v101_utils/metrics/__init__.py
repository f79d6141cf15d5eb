"""What "good" means: distances between sets of images, and scores of a representation."""

from v101_utils.metrics.classifier import Classifier, ClassifierTask, accuracy
from v101_utils.metrics.disentanglement import mutual_information, mutual_information_gap
from v101_utils.metrics.frechet import FrechetDistance

__all__ = ["Classifier", "ClassifierTask", "FrechetDistance", "accuracy", "mutual_information", "mutual_information_gap"]
