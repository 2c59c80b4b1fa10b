"""How the two directions of retrieval are called, by the keys that they have in results."""

DIRECTIONS = {"text_to_audio": "text to audio", "audio_to_text": "audio to text"}
CAPITALISED = {direction: name.capitalize() for direction, name in DIRECTIONS.items()}
HYPHENATED = {direction: name.replace(" ", "-") for direction, name in DIRECTIONS.items()}
SHORT = {"text_to_audio": "T2A", "audio_to_text": "A2T"}
