"""How good and how dear the generated detection is, measured on Prometheus' own rule engine; people run it by hand.

`python -m benchmarks.nab` judges quality, `python -m benchmarks.cost` what it costs; README.md says how to read both.
"""
