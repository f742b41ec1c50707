"""A clip drawn: its waveform above its spectrogram, over one axis of time."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Literal

import numpy as np
import numpy.typing as npt

from voxemo.audio.load import SAMPLE_RATE_HZ, Waveform

Theme = Literal["light", "dark"]
FloatArray = npt.NDArray[np.float64]

WINDOW_S, HOP_S = 0.025, 0.010
N_FFT = 512
FLOOR_DB = -80.0
MOST_COLUMNS = 1_500
"""Of a picture; in a longer clip the loudest of neighbouring columns is drawn."""
AXES = (0.075, 0.905)
"""Left and right end of the time axis, as shares of the picture's width; the page moves its playhead between them."""
_BLOCK_FRAMES = 4_000


@dataclass(frozen=True, slots=True)
class Colours:
    """Of one theme."""

    paper: str
    ink: str
    wave: str
    map: str


# Both maps are perceptually uniform; silence has the colour next to the paper's.
COLOURS: Mapping[Theme, Colours] = {
    "light": Colours(paper="#ffffff", ink="#333333", wave="#0072B2", map="magma_r"),
    "dark": Colours(paper="#15181c", ink="#d6d9dd", wave="#56B4E9", map="magma"),
}

_STYLE = {"font.family": "DejaVu Sans", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}

# What matplotlib draws by is global to the process, and pages are served by several threads.
_DRAWING = Lock()


def spectrogram_db(waveform: Waveform) -> FloatArray:
    """Levels of a clip over time and frequency, in dB below its loudest point, from ``FLOOR_DB`` to 0.

    Args:
        waveform: mono samples at 16 kHz, shape (n_samples,), at least one.

    Returns:
        Shape (n_frequencies, n_columns): 0 to 8 kHz in steps of 31.25 Hz, and windows of 25 ms every 10 ms. Silence is
        ``FLOOR_DB`` everywhere.
    """
    width, hop = round(WINDOW_S * SAMPLE_RATE_HZ), round(HOP_S * SAMPLE_RATE_HZ)
    # Half a window on both sides, so that the first and last sample are in the middle of one.
    padded = np.pad(waveform.astype(np.float64), width // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, width)[::hop]
    window = np.hanning(width)
    power = np.concatenate(
        [
            np.abs(np.fft.rfft(frames[first : first + _BLOCK_FRAMES] * window, N_FFT, axis=1)) ** 2
            for first in range(0, len(frames), _BLOCK_FRAMES)
        ]
    )
    power = np.maximum.reduceat(power, _column_starts(len(power)), axis=0)
    loudest = power.max()
    if loudest <= 0:
        return np.full(power.T.shape, FLOOR_DB)
    relative = np.maximum(power.T / loudest, 10 ** (FLOOR_DB / 10))
    return np.asarray(10 * np.log10(relative))


def envelope(waveform: Waveform) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest sample of each column that a waveform is drawn with, shape (n_columns,) each."""
    starts = _column_starts(len(waveform))
    samples = waveform.astype(np.float64)
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def _column_starts(n: int) -> npt.NDArray[np.intp]:
    return np.unique(np.linspace(0, n, min(n, MOST_COLUMNS), endpoint=False).astype(np.intp))


def levels_dbfs(waveform: Waveform) -> tuple[float, float]:
    """Root mean square and peak in dB below full scale; minus infinity for silence."""
    samples = waveform.astype(np.float64)
    with np.errstate(divide="ignore"):
        rms, peak = 20 * np.log10([np.sqrt(np.mean(samples**2)), np.abs(samples).max()])
    return float(rms), float(peak)


def describe(waveform: Waveform) -> str:
    """The picture in words, for those who do not see it."""
    duration_s = len(waveform) / SAMPLE_RATE_HZ
    rms, peak = levels_dbfs(waveform)
    if np.isinf(peak):
        return f"Waveform and spectrogram of {duration_s:.2f} seconds of digital silence."
    levels = spectrogram_db(waveform)
    strength = (10 ** (levels / 10)).sum(axis=1)
    middle_hz = float((np.arange(len(strength)) * SAMPLE_RATE_HZ / N_FFT * strength).sum() / strength.sum())
    return (
        f"Waveform and spectrogram of {duration_s:.2f} seconds, 0 to 8 kHz. "
        f"Mean level {rms:.0f} dB and peak {peak:.0f} dB below full scale; the spectrum's centre is at "
        f"{middle_hz:.0f} Hz.".replace("-", "")
    )


def draw(waveform: Waveform, theme: Theme) -> bytes:
    """Waveform and spectrogram as PNG.

    Args:
        waveform: mono samples at 16 kHz, shape (n_samples,), at least one.
        theme: the colours of the page that it stands on.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    colours = COLOURS[theme]
    duration_s = len(waveform) / SAMPLE_RATE_HZ
    low, high = envelope(waveform)
    levels = spectrogram_db(waveform)
    style = {
        **_STYLE,
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), colours.ink),
        "axes.facecolor": colours.paper,
        "figure.facecolor": colours.paper,
    }
    left, right = AXES
    with _DRAWING, mpl.rc_context(style):
        figure = Figure(figsize=(9.2, 3.8))
        FigureCanvasAgg(figure)
        wave = figure.add_axes((left, 0.70, right - left, 0.26))
        spectrum = figure.add_axes((left, 0.13, right - left, 0.52), sharex=wave)
        scale = figure.add_axes((right + 0.012, 0.13, 0.013, 0.52))
        times = np.linspace(0, duration_s, len(low))
        wave.fill_between(times, low, high, color=colours.wave, lw=0.6)
        # Of a faint clip the scale does not go below a hundredth, so that noise does not look like speech.
        peak = max(0.01, float(np.abs([low.min(), high.max()]).max()))
        wave.set_ylim(-1.05 * peak, 1.05 * peak)
        wave.set_xlim(0, duration_s)
        wave.set_ylabel("amplitude")
        wave.tick_params(labelbottom=False)
        image = spectrum.imshow(
            levels,
            origin="lower",
            aspect="auto",
            extent=(0, duration_s, 0, SAMPLE_RATE_HZ / 2000),
            cmap=colours.map,
            vmin=FLOOR_DB,
            vmax=0,
            interpolation="nearest",
        )
        spectrum.set_xlabel("time (s)")
        spectrum.set_ylabel("frequency (kHz)")
        bar = figure.colorbar(image, cax=scale)
        bar.set_label("dB below loudest")
        bar.outline.set_visible(False)
        figure.align_ylabels([wave, spectrum])
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=150, metadata={"Software": None})
    return content.getvalue()
