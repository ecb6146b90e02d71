"""The benchmark of answers with a form: documents, forced tokens, choices."""
