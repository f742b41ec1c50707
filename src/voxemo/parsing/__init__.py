"""What an answer says. Text in, ParsedPrediction out. Pure."""
