"""The world with a jumping clock: traces, the same placement as live, what it amounts to, the planner."""
