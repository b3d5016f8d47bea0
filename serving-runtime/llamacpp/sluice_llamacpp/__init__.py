"""Serves a GGUF model with llama.cpp by the OpenAI API: streams, counted as they are sent."""
