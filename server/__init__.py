"""The engines, spoken to over HTTP in the words of OpenAI's, Ollama's and Anthropic's APIs."""
