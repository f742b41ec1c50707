"""One module per corpus: a corpus folder in, ParsedUtterance rows out."""
