"""Is the model worth it? Scores with intervals, classical baselines, paired comparisons, the certificate."""
