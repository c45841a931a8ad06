"""Usage objects as the providers' APIs send them."""

CHAT = {
    "prompt_tokens": 2006,
    "completion_tokens": 1300,
    "total_tokens": 3306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 1024,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
RESPONSES = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 12},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 123,
}
ANTHROPIC = {
    "input_tokens": 50,
    "cache_creation_input_tokens": 248,
    "cache_read_input_tokens": 1800,
    "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
    "output_tokens": 503,
    "output_tokens_details": {"thinking_tokens": 120},
    "server_tool_use": {"web_search_requests": 1},
    "service_tier": "standard",
}
GEMINI = {
    "promptTokenCount": 700,
    "cachedContentTokenCount": 512,
    "candidatesTokenCount": 75,
    "thoughtsTokenCount": 1200,
    "toolUsePromptTokenCount": 40,
    "totalTokenCount": 2015,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 700}],
    "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 512}],
    "trafficType": "ON_DEMAND",
}
