"""Finished runs as a static site: page models made by pure functions, a thin renderer, one writer.

``parts`` has what pages are made of, ``standings`` what several pages say about one model on one board. A module for
each kind of page makes its model. ``render`` turns page models into HTML, ``assets`` knows the files that pages load,
and ``build`` reads runs and writes the folder.
"""
