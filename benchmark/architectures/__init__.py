"""Which of transformers' causal classes are served right, and what is said of the others."""
