"""Shards of a plan: parts of a pass that sender processes hold, each with a journal of its own."""
