"""Analysis of training curves and credit schedules, for tables, figures and claims."""
