"""The figures of tuning jobs and training jobs, drawn by plotly in the browser.

Use :mod:`hpoq.ui.figures.loading` to get them: their packages take seconds to import.
"""
