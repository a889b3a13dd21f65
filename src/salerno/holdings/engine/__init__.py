"""Computation on a holder's data, by Ibis on DuckDB or PostgreSQL."""
