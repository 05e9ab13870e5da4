"""What a run survives: kills at any moment, full disks, wrong clocks, damaged files."""
