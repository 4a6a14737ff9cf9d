"""What pushes a rejected part off the belt: one file a kind of actuator."""
