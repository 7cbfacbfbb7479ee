"""Files: Parquet rows of declared schemas, JSON, vectors; every write is atomic."""
