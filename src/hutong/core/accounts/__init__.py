"""Who may do what: institutions, people, projects, roles."""
