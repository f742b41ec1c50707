"""Figures as SVG, PNG and PDF. They need matplotlib, which nothing else does.

The same numbers give the same SVG. No figure tells anything by colour alone. An SVG has no background, keeps its text
as text, has colours of its own for dark pages, and says in words what there is to see. Where the data have nothing to
draw, no file is written.
"""

from voxemo.reports.figures.canvas import can_draw
from voxemo.reports.figures.distributions import calibration, distributions
from voxemo.reports.figures.groups import agreement, groups
from voxemo.reports.figures.matrices import confusion, transfer_map
from voxemo.reports.figures.prompts import prompt_effect, prompt_sensitivity
from voxemo.reports.figures.ranking import ranks
from voxemo.reports.figures.training import learning_curve, sft_gain

__all__ = [
    "agreement",
    "calibration",
    "can_draw",
    "confusion",
    "distributions",
    "groups",
    "learning_curve",
    "prompt_effect",
    "prompt_sensitivity",
    "ranks",
    "sft_gain",
    "transfer_map",
]
