"""Numbers and spans for machines: Prometheus, Pushgateway, OpenTelemetry."""
