"""HTML pages: the report, the gallery, charts."""
