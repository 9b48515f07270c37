"""Operating system services for all stages: durable writes, file ownership, secrets, the boot clock."""
