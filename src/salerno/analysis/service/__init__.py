"""Use cases of an analysis: the coordinator at the hub, the agent at each holder."""
