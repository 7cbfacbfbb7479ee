"""Labels for traces: one module per annotator, each with one constant ANNOTATOR."""
