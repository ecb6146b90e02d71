"""Collects the response lengths of a target model, and trains a length predictor on them."""
