"""The child process that speaks: espeak-ng through ctypes, one fresh process per clip. Standard library only.

espeak-ng is GPL-3.0-or-later, and this project is not: so it is never imported into a process of voxemo's, and nothing
of it is shipped but the sound it made. Run as a program, this reads one request per line from standard input and writes
one answer each to standard output; ``synthesis`` is its only caller.

A request is a JSON object: ``voice`` (language and variant), ``ssml``, ``range`` (0 to 99) and ``words_per_minute``.
An answer is two little-endian 32-bit numbers, the sample rate in Hz and the number of bytes, and these bytes: 16-bit
mono samples. A rate of 0 says that the request could not be spoken.
"""

import ctypes
import json
import os
import struct
import sys
from typing import Any

# Numbers of espeak-ng's speak_lib.h.
SYNCHRONOUS = 2
RATE, RANGE = 1, 4
CHARACTERS_UTF8, SSML = 1, 0x10
SAMPLE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)

ANSWER = struct.Struct("<II")


def speak(request: dict[str, Any]) -> tuple[int, bytes]:
    """Speak one request.

    Returns:
        Sample rate in Hz, and 16-bit mono samples. The same in every process that has spoken nothing before; a second
        call in one process gives other samples, because the synthesiser's state carries over.
    """
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    pieces: list[bytes] = []

    def keep(samples: int | None, n_samples: int, _events: int | None) -> int:
        if samples and n_samples > 0:
            pieces.append(ctypes.string_at(samples, 2 * n_samples))
        return 0

    kept = SAMPLE(keep)
    data = os.path.dirname(espeakng_loader.get_data_path())  # noqa: PTH120 - pathlib is slow to import
    sample_rate_hz = library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), 0)
    library.espeak_SetSynthCallback(kept)
    if library.espeak_SetVoiceByName(str(request["voice"]).encode()) != 0:
        return 0, b""
    library.espeak_SetParameter(RATE, int(request["words_per_minute"]), 0)
    library.espeak_SetParameter(RANGE, int(request["range"]), 0)
    text = str(request["ssml"]).encode()
    library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 1, 0, CHARACTERS_UTF8 | SSML, None, None)
    library.espeak_Synchronize()
    return sample_rate_hz, b"".join(pieces)


def main() -> None:
    """Answer every line of standard input, each in a process of its own."""
    answers = sys.stdout.buffer
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            sample_rate_hz, samples = speak(json.loads(line))
            answers.write(ANSWER.pack(sample_rate_hz, len(samples)) + samples)
            answers.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != 0:
            answers.write(ANSWER.pack(0, 0))
            answers.flush()


if __name__ == "__main__":
    main()
