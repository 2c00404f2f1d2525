"""Quality: a spec with fixed parameters, scored on labelled series as the Numenta Anomaly Benchmark does.

`python -m benchmarks.nab FOLDER` scores one detector, `python -m benchmarks.nab.compare FOLDER` several side by side.
"""
