"""Parts of models: layers, classical models, and published weights."""
