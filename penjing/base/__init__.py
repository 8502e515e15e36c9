"""What every other folder stands on: errors, options, whole files, records, progress. Nothing here imports torch."""
