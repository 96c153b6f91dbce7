"""The planner: the cheapest capacity for a growing demand, proved in the simulator."""
