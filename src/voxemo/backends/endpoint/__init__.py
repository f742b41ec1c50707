"""Models behind an OpenAI-compatible endpoint: a server of one's own, or a hosted API. Only `server` needs openai."""
