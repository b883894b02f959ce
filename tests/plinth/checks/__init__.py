"""Tests of the checks that follow from contracts."""
