"""Caption metrics by aac-metrics: what runs on this machine is computed, and the rest is listed with its way out."""

from atrkit.metrics.captioning.catalogue import CAPTION_METRICS, Lack
from atrkit.metrics.captioning.fense import CannotScore, FenseScorer, fense_scorer
from atrkit.metrics.captioning.figures import CaptionFigures, caption_figures
from atrkit.metrics.captioning.tools import MetricTools, check_metric_names

__all__ = [
    "CAPTION_METRICS",
    "CannotScore",
    "CaptionFigures",
    "FenseScorer",
    "Lack",
    "MetricTools",
    "caption_figures",
    "check_metric_names",
    "fense_scorer",
]
