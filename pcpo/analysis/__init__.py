"""What is read from training curves and credit schedules, for tables, figures and claims."""
