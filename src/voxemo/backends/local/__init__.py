"""Speech LLMs through transformers, in this process. Importing this package loads neither torch nor transformers."""
