"""Every other database that SQLAlchemy knows: read in batches of rows, bounded in memory, into Arrow."""
