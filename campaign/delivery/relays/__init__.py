"""Relay servers: presets, order and weights, failover."""
