"""The platforms, each against the real thing or the nearest that can be had."""
