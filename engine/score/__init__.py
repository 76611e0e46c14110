"""Contents → scores. Importing this package loads neither torch nor transformers."""
