"""Pages: the report, the gallery, charts."""
