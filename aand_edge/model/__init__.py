"""The paper: frozen teacher, residual anomaly amplification (RAA), student, losses, and the fused graph."""
