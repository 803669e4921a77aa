"""The engines, spoken to over HTTP in the words of OpenAI's and Ollama's APIs."""
