"""The worlds that the data makers build, one noun a file. Knows nothing about the engine.

packages → texts → classifiers → advertisers → creatives → moderation → audit → tables

`make_demo_data.py` walks the whole line; `make_ci_data.py` only what needs numpy and pyarrow.
"""
