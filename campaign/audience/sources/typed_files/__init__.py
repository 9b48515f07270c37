"""Files whose columns have types: Parquet, Stata, SAS and DuckDB."""
