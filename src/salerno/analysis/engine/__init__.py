"""Ibis expressions that methods share; every one runs on any engine that Ibis speaks to."""
