"""A/B experiments: design, assignment, analysis, decision, report."""
