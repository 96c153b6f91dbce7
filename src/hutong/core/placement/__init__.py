"""Where a job goes and why: a pure policy with a receipt."""
