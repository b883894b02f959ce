"""Tests of the core library, a folder for each of its packages."""
