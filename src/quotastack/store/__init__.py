"""The SQL. One file per family of tables; it decides nothing."""
