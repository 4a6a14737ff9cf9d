"""Which frames are judged: all of them, or one a part."""
