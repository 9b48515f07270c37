"""A deterministic simulation of runs: network, disk, clock, operators and faults, all drawn from one seed."""
