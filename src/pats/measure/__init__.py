"""What is measured on a model: sensitivities, accumulated noise, cost, predictions."""
