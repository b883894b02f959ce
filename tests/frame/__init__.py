"""Tests of the frame: loading, layers, the command line, make."""
