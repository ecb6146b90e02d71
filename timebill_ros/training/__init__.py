"""Response lengths of a target model, to train a predictor on. Uses core and inference only."""
