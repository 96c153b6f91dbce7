"""Reports: pure functions from sums to tables, with what each figure means."""
