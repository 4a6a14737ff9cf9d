"""AAND against reverse distillation, its ablations and nearest neighbours, over categories and seeds."""
