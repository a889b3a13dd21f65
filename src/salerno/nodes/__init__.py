"""Nodes: settings, roles and the one place that wires services, stores, routes and jobs together."""
