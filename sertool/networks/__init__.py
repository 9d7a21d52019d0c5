"""Parts of models: layers, classical classifiers, and published weights."""
