"""The chart, the images and the bill of materials: what `deploy/` holds."""
