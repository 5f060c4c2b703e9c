"""``audio/speech``, ``audio/transcriptions`` and ``audio/translations``."""

from __future__ import annotations

import io
import wave

from e2e.simulator import tokens
from e2e.simulator.answers import Answer, Json, json_answer
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import missing
from e2e.simulator.tokens import Generated

_RATE = 8_000
_SAMPLES_PER_TOKEN = 800


def speech(call: Call) -> Answer:
    """``POST …/audio/speech``: a WAV file of silence, as long as the text is."""
    text = call.json.get("input")
    if not isinstance(text, str) or not text:
        raise missing("input")
    count = tokens.of_text(text)
    call.charge("Speech_Create", count)
    call.state.next_number()
    return Answer(200, _silence(count * _SAMPLES_PER_TOKEN), content_type="audio/wav", tokens=count)


def transcribe(call: Call) -> Answer:
    """``POST …/audio/transcriptions``."""
    return _listen(call, "transcribe", "Transcriptions_Create")


def translate(call: Call) -> Answer:
    """``POST …/audio/translations``."""
    return _listen(call, "translate", "Translations_Create")


def _listen(call: Call, task: str, operation_id: str) -> Answer:
    """The text that was "heard": the name and size of the file, which prove that the upload was complete."""
    if "file" not in call.form:
        raise missing("file")
    upload = call.form["file"]
    heard = f"heard {len(upload.content)} bytes of {upload.filename}"
    call.charge(operation_id, tokens.of_text(heard))
    generated = call.generate(heard, None)
    wanted = call.form["response_format"].text if "response_format" in call.form else "json"
    if wanted in ("text", "srt", "vtt"):
        return Answer(
            200, _captions(wanted, generated.text).encode(), content_type="text/plain; charset=utf-8"
        )
    document: Json = {"text": generated.text}
    if wanted == "verbose_json":
        document |= {"task": task, "language": "english", "duration": 1.0, "segments": [_segment(generated)]}
    return json_answer(document, tokens=len(generated.pieces))


def _captions(form: str, text: str) -> str:
    if form == "srt":
        return f"1\n00:00:00,000 --> 00:00:01,000\n{text}\n"
    if form == "vtt":
        return f"WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{text}\n"
    return f"{text}\n"


def _segment(generated: Generated) -> Json:
    return {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": 1.0,
        "text": generated.text,
        "tokens": list(range(len(generated.pieces))),
        "temperature": 0.0,
        "avg_logprob": -0.1,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.0,
    }


def _silence(samples: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(bytes(2 * samples))
    return buffer.getvalue()
