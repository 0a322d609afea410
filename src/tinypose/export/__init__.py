"""Export: from a trained network to a file that runs without TensorFlow."""
