"""Models and deployments: what was made by which job from which data."""
