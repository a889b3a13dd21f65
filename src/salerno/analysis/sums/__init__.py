"""What methods share: Ibis aggregates of a view, and the arithmetic on their pooled sums."""
