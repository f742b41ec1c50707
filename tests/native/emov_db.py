"""EmoV-DB: the listing is EmoBox's and the paper's set, which lacks six files of the distribution."""

DIFFERENCES = {
    "utterances": (6893, 6887),
    "utterances labelled amused": (1317, 1315),
    "utterances labelled angry": (1268, 1267),
    "utterances labelled neutral": (1568, 1566),
    "utterances labelled sleepy": (1721, 1720),
}
