"""Parsing of returned messages: bounces, complaints, unsubscribes, automatic replies."""
