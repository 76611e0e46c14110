"""Estimates → pages: what a person reads after a run, drawn from the files of its directory alone.

    summary.json, estimates.parquet, truth.parquet
        → run_summary, lookup   typed views of them
        → layout                the page as records: sections, grids, pictures
        → html, markdown        the same page twice
        → terminal              the few lines that `backtest` prints

Nothing is estimated here, and nothing is imported that draws until a page is drawn.
"""
