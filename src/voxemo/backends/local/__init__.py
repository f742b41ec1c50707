"""Speech LLMs through transformers, in this process."""
