"""Data: readers, augmentation and the training pipeline."""
