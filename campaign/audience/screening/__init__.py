"""Screening of rows: invalid addresses, the filter, suppression lists and duplicate keys."""
