"""Every command against files that are damaged, hostile or badly typed, and machines that refuse."""
