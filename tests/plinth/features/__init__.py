"""Features: declarations, clocks, snapshots, joins."""
