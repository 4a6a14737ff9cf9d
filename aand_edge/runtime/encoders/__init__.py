"""What counts the belt's travel: one file a kind of encoder."""
