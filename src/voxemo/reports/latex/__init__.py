"""Tables of finished runs as LaTeX, in the layout of the paper's."""

from voxemo.reports.latex.paper import write_tables

__all__ = ["write_tables"]
