"""Cost: rule sets in a real Prometheus, with full windows behind them; seconds, series and memory.

`python -m benchmarks.cost` measures all rule sets of this folder in one run.
"""
