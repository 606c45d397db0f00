"""Loops, disk and events; no formulas."""
