"""A web app in which raters annotate images: pre-screening, annotation, progress, export.

Read in this order: ``study`` (what is asked), ``order`` (who sees what when), ``answers`` (what is a valid answer),
``store`` (SQLite), ``server`` (the pages), ``quality`` and ``export`` (what comes out).
"""
