"""Why an answer says nothing usable: one code per cause, and what it means. What gives which code is parsing's."""

REASONS: dict[str, str] = {
    "model_error": "The model gave no answer; the error is in the response.",
    "no_audio": "The clip cannot be used, so that no question could be asked about it.",
    "empty": "The answer holds nothing but white space.",
    "cut_off": "The answer ended at the token limit before the field was there in full.",
    "refusal": "The model says that it cannot or will not answer.",
    "no_field": "The answer has no field of the asked name.",
    "empty_field": "The field is there, and nothing stands in it.",
    "out_of_set": "What stands in the label field is no label of the closed set.",
    "several_labels": "The label field names more than one label, or a label among other words to choose from.",
    "negated": "The label field names a label in order to rule it out.",
    "not_an_object": "What stands in the distribution field does not begin as a JSON object.",
    "too_deep": "The object in the distribution field is nested far beyond a list of probabilities.",
    "bad_json": "The object in the distribution field is not well formed, or never ends.",
    "unknown_key": "The distribution names something that is no label of the closed set.",
    "duplicate_key": "The distribution names one label twice, by the same word or by two words for it.",
    "bad_numbers": "A probability is negative, not finite, too large or no number.",
    "no_scores": "The backend gave no finite log-probability for every label.",
    "zero_sum": "No label has a probability above zero.",
}
"""Code to a sentence about the answer."""
