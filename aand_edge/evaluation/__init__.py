"""How good a detector is: metrics against labels, and the threshold that turns a score into a verdict."""
