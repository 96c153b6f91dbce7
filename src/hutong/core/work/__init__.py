"""What users ask for: the job spec, facts, states and the fold."""
