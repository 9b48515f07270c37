"""Telemetry: Prometheus metrics, Pushgateway, OpenTelemetry spans."""
