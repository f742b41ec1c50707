"""The local engine against a plain loop: each clip and each prompt through the model's own `generate`, one at a time.

Run: python bench/engine.py [--clips N] [--device cpu]

The same requests both ways: the ten prompts about clips of the corpus `demo`, answered by `voxemo-tiny`. Prints
seconds, their ratio, how many answers are the same, where the engine's time goes, and what everything around the model
costs for each answer. Some minutes on two processors.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from voxemo.audio.load import load_audio
from voxemo.backends.base import Question
from voxemo.backends.local.engine import create
from voxemo.backends.local.loading import load_model, render_chat
from voxemo.catalog import lookup
from voxemo.core.types import Generation, Response
from voxemo.demo.corpus import FOLDER
from voxemo.prompts.render import render_prompt
from voxemo.steps.demo import CORPUS, MODEL
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.steps.prepare import prepare_corpus
from voxemo.steps.split import split_corpus
from voxemo.store.layout import Workspace

GENERATION = Generation(max_new_tokens=256)
BATCH_SIZES = (8, 48)


def ten_questions_each(n_clips: int) -> list[Question]:
    """All ten prompts about clips spread over the corpus."""
    label_set = lookup.corpus_card(CORPUS).label_set(lookup.label_table())
    paths = sorted((FOLDER / "clips").glob("*.opus"))
    chosen = paths[:: max(1, len(paths) // n_clips)][:n_clips]
    questions = []
    for path in chosen:
        for name in lookup.prompt_names():
            for form in ("hard", "distribution"):
                variant, template = lookup.prompt(name)
                questions.append(
                    Question(
                        request_id=f"{path.stem}/{name}/{form}",
                        utterance_id=path.stem,
                        variant_id=name,
                        form=form,  # type: ignore[arg-type]
                        prompt=render_prompt(variant, template, form=form, label_set=label_set),  # type: ignore[arg-type]
                        label_set=label_set,
                        audio_key=path.stem,
                        load_audio=lambda path=path: load_audio(path),  # type: ignore[misc]
                    )
                )
    return questions


def plain_answers(questions: Sequence[Question], device: str) -> tuple[list[str], float]:
    """What a loop over clips and prompts gives, and the seconds that it takes."""
    loaded = load_model(lookup.model_card(MODEL), device=device, dtype=None, trust_remote_code=False)
    model, processor = loaded.model, loaded.processor
    started, texts = time.perf_counter(), []
    with torch.inference_mode():
        for question in questions:
            inputs = processor(
                text=render_chat(processor, question.prompt),
                audio=question.load_audio(),
                sampling_rate=16_000,
                return_tensors="pt",
            ).to(model.device)
            tokens = model.generate(**inputs, max_new_tokens=GENERATION.max_new_tokens, do_sample=False)
            texts.append(
                processor.tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            )
    return texts, time.perf_counter() - started


def engine_answers(
    questions: Sequence[Question], device: str, batch_size: int
) -> tuple[list[Response], float, dict[str, float]]:
    """The engine's answers, its seconds and where they went."""
    backend = create(lookup.model_card(MODEL), GENERATION, device=device, batch_size=batch_size)
    started, responses = time.perf_counter(), []
    for start in range(0, len(questions), backend.questions_per_call):
        responses += backend.answer(questions[start : start + backend.questions_per_call])
    return responses, time.perf_counter() - started, dict(backend.stages_s)


def around_the_model(device: str) -> tuple[int, float, float]:
    """Answers of a whole run, and milliseconds for each that `infer` without the model, and `parse`, take."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "workspace")
        prepare_corpus(workspace, CORPUS)
        split_corpus(workspace, CORPUS)
        run = plan_run(workspace, Path(folder) / "runs", corpus=CORPUS, model=MODEL, options=PlanOptions(limit=20))
        result = infer_run(workspace, run, backend_options={"batch_size": BATCH_SIZES[-1], "device": device})
        started = time.perf_counter()
        parse_run(run)
        parsed_s = time.perf_counter() - started
        n = result.n_answered
        return n, 1000 * result.stages_s["around the model"] / n, 1000 * parsed_s / n


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=72)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    questions = ten_questions_each(given.clips)
    plain, plain_s = plain_answers(questions, given.device)
    print(f"{len(questions)} questions about {given.clips} clips on {given.device}")
    print(f"plain loop: {plain_s:.1f} s")
    for batch_size in BATCH_SIZES:
        responses, seconds, stages = engine_answers(questions, given.device, batch_size)
        same = sum(response.text == text for response, text in zip(responses, plain, strict=True))
        n_tokens = sum(response.n_new_tokens or 0 for response in responses)
        print(
            f"engine, batch size {batch_size}: {seconds:.1f} s, {plain_s / seconds:.1f} times the plain loop, "
            f"{n_tokens / seconds:.0f} tokens/s, {same} of {len(plain)} answers the same"
        )
        print("  " + ", ".join(f"{name} {100 * spent / seconds:.0f} %" for name, spent in stages.items()))
    n, around_ms, parsing_ms = around_the_model(given.device)
    print(f"around the model, {n} answers: {around_ms:.2f} ms each in infer, {parsing_ms:.2f} ms each in parse")


if __name__ == "__main__":
    main()
