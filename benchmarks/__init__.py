"""What measures: `python -m benchmarks` runs all. Tables go to _build/benchmarks/; nothing is asserted about time."""
