"""Measurements that take minutes; run by hand, never collected as tests."""
