"""Rules on how small a published figure may be; pure functions on counts."""
