"""For AI products: token usage of OpenAI's, Anthropic's and LiteLLM's calls, held before and charged after."""

from quotastack_client.ai.metered import NotMeteredError, Tokens, TokensNotChargedError

__all__ = ["NotMeteredError", "Tokens", "TokensNotChargedError"]
