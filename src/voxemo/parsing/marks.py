# ruff: noqa: RUF001 - signs that look alike in several scripts are what this module is about
"""Signs and small words that the readings need to know, in the scripts that answers come in."""

COLONS = ":=：﹕"
COMMAS = ",;，；、،؛"
DASHES = "-–—−"
PERCENTS = "%％٪"
QUOTES = "\"'`“”„‘’‚"
BRACKETS = "«»‹›「」『』()[]{}<>（）【】《》〈〉"
SENTENCE_ENDS = ".!?…。！？।۔؟"
PUNCTUATION = COLONS + COMMAS + DASHES + SENTENCE_ENDS + "•·→"
APOSTROPHES = "'’"
MARKUP = "*_`~#"
"""Markdown."""

NEGATIONS = frozenset(
    # Neither "n't" (found by its ending) nor languages that negate inside the word, where no label is found anyway.
    word
    for words in {
        "en": "not no never neither nor none without cannot unable un non anti hardly barely",
        "bn": "না নয় নেই",
        "de": "nicht kein keine keinen nie weder ohne",
        "el": "δεν όχι χωρίς μη",
        "es": "no ni nunca sin",
        "fa": "نه نیست",
        "fr": "pas jamais ni sans",
        "it": "né senza",
        "ko": "안 않",
        "pl": "nie bez",
        "pt": "não nem sem",
        "ru": "не нет ни без никогда",
        "tr": "değil yok",
        "ur": "نہیں",
        "zh": "不 不是 没有 沒有",
    }.values()
    for word in words.casefold().split()
)
"""Words that deny, case folded."""

CONNECTORS = frozenset(
    # Without Polish "i": it is English "I".
    word
    for words in {
        "en": "or and versus vs",
        "bn": "বা এবং",
        "de": "oder und",
        "el": "ή και",
        "es": "o u y e",
        "fa": "یا و",
        "fr": "ou et",
        "pl": "lub albo",
        "ru": "или и",
        "tr": "veya ve",
        "zh": "或 和",
    }.values()
    for word in words.casefold().split()
)
"""Words that put labels side by side, case folded."""

REFUSALS = (
    "i cannot",
    "i can't",
    "i can not",
    "i am unable",
    "i'm unable",
    "i am not able",
    "i'm not able",
    "i am sorry",
    "i'm sorry",
    "i apologize",
    "i apologise",
    "sorry",
    "unfortunately",
    "as an ai",
    "it is not possible",
    "it is impossible",
    "there is no audio",
    "no audio",
    "抱歉",
    "很抱歉",
    "对不起",
    "我无法",
    "无法",
)
"""Openings of an answer that declines, case folded. Openings only: in a transcript the speaker may be sorry."""
