"""Where pictures come from: one file a kind of source, one URI scheme for all of them."""
