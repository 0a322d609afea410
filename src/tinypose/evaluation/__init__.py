"""Evaluation: PCK, PCKh, PCP and OKS of a predictor, and the report."""
