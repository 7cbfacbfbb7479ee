"""Stage annotations: labels of traces and questions."""
