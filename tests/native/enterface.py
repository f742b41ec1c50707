"""eNTERFACE: the listing is EmoBox's and the paper's set, which lacks subject 12."""

DIFFERENCES = {
    "utterances": (1293, 1263),
    "speakers": (44, 43),
    "utterances labelled angry": (216, 211),
    "utterances labelled disgust": (216, 211),
    "utterances labelled fear": (216, 211),
    "utterances labelled happy": (213, 208),
    "utterances labelled sad": (216, 211),
    "utterances labelled surprise": (216, 211),
}
