"""What the folders of tiny vision models have in their configuration files, family by family."""

from itertools import product
from typing import Any

VOCABULARY = 1024
IMAGE, BEFORE, AFTER = "<|image_pad|>", "<|vision_start|>", "<|vision_end|>"
IMAGE_PLACE = BEFORE + IMAGE + AFTER  # what Qwen's templates write for a picture
_TILES = [f"<row_{row}_col_{column}>" for row, column in product(range(1, 3), repeat=2)]
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    IMAGE,
    BEFORE,
    AFTER,
    "<|video_pad|>",
    "<image_soft_token>",
    "<start_of_image>",
    "<end_of_image>",
    "<image>",
    "<fake_token_around_image>",
    "<global-img>",
    "<end_of_utterance>",
    *_TILES,
    "[IMG]",
    "[IMG_BREAK]",
    "[IMG_END]",
    "<img>",
    "</img>",
    "<IMG_CONTEXT>",
    "<|image|>",
    "<|image>",
    "<image|>",
)
END_OF_TURN = 2

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ 'PLACE' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{{ '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# What templates write for a picture, where it is not as Qwen's.
PLACES = {
    "gemma3": "<start_of_image>",
    "gemma4": "<|image|>",
    "idefics3": "<image>",
    "internvl_chat": "<image>",
    "llava": "<image>",
    "mistral3": "[IMG]",
    "pixtral": "[IMG]",
    "smolvlm": "<image>",
}

_TEXT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": END_OF_TURN,
}
_QWEN_IDS = {
    "image_token_id": SPECIAL.index(IMAGE),
    "video_token_id": SPECIAL.index("<|video_pad|>"),
    "vision_start_token_id": SPECIAL.index(BEFORE),
    "vision_end_token_id": SPECIAL.index(AFTER),
}
_TOWER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 56,
    "patch_size": 14,
}
_MROPE: dict[str, Any] = {"type": "mrope", "mrope_section": [2, 3, 3]}
CONFIGS: dict[str, dict[str, Any]] = {
    "qwen2_vl": {
        **_TEXT,
        **_QWEN_IDS,
        "rope_scaling": _MROPE,
        "vision_config": {"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2},
    },
    "qwen2_5_vl": {
        **_TEXT,
        **_QWEN_IDS,
        "rope_scaling": _MROPE,
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "out_hidden_size": 64,
            "intermediate_size": 64,
            "num_heads": 2,
            "window_size": 112,
            "fullatt_block_indexes": [1],
        },
    },
    "qwen3_vl": {
        **_QWEN_IDS,
        "text_config": {
            **_TEXT,
            "model_type": "qwen3_vl_text",
            "head_dim": 16,
            "rope_scaling": {"rope_type": "default", "mrope_section": [3, 3, 2]},
        },
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "out_hidden_size": 64,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 16,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
    },
    "gemma3": {
        "image_token_index": SPECIAL.index("<image_soft_token>"),
        "mm_tokens_per_image": 4,
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "pad_token_id": 0,
        "text_config": {
            **_TEXT,
            "model_type": "gemma3_text",
            # One number by the names that the two libraries have for it.
            "rope_theta": 1_000_000.0,
            "rope_global_base_freq": 1_000_000.0,
            "num_hidden_layers": 6,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": 32,
            "sliding_window_pattern": 3,
            "mm_tokens_per_image": 4,
        },
        "vision_config": {**_TOWER, "model_type": "siglip_vision_model"},
    },
    "idefics3": {
        "image_token_id": SPECIAL.index("<image>"),
        "scale_factor": 2,
        "text_config": {**_TEXT, "model_type": "llama"},
        "vision_config": {**_TOWER, "model_type": "idefics3"},
    },
    "smolvlm": {
        "image_token_id": SPECIAL.index("<image>"),
        "scale_factor": 2,
        "text_config": {**_TEXT, "model_type": "llama"},
        "vision_config": {**_TOWER, "model_type": "smolvlm_vision"},
    },
    "llava": {
        "image_token_index": SPECIAL.index("<image>"),
        "text_config": {**_TEXT, "model_type": "llama"},
        "vision_config": {**_TOWER, "model_type": "clip_vision_model"},
    },
}
_TILED = {
    "size": {"longest_edge": 112},
    "max_image_size": {"longest_edge": 56},
    "do_image_splitting": True,
}
_SOFT = {"image_seq_length": 70, "max_soft_tokens": 70, "patch_size": 16, "pooling_kernel_size": 3}
_MORE: dict[str, dict[str, Any]] = {
    "qwen3_5": {
        **_QWEN_IDS,
        "text_config": {
            **_TEXT,
            "model_type": "qwen3_5_text",
            "head_dim": 16,
            "linear_num_value_heads": 4,
            "linear_num_key_heads": 2,
            "linear_key_head_dim": 32,
            "linear_value_head_dim": 32,
            "linear_conv_kernel_dim": 4,
            "rope_parameters": {
                "type": "default",
                "mrope_section": [3, 3, 2],
                "rope_theta": 100_000,
                "partial_rotary_factor": 1.0,
            },
        },
        "vision_config": {**CONFIGS["qwen3_vl"]["vision_config"], "deepstack_visual_indexes": []},
    },
    "gemma4": {
        "image_token_id": SPECIAL.index("<|image|>"),
        "boi_token_id": SPECIAL.index("<|image>"),
        "eoi_token_id": SPECIAL.index("<image|>"),
        "audio_token_id": VOCABULARY - 1,
        "audio_config": None,
        "vocab_size": VOCABULARY,
        "vision_soft_tokens_per_image": 70,
        "text_config": {
            **_TEXT,
            "model_type": "gemma4_text",
            "tie_word_embeddings": True,
            "num_hidden_layers": 6,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "global_head_dim": 32,
            "vocab_size_per_layer_input": VOCABULARY,
            "hidden_size_per_layer_input": 16,
            "num_kv_shared_layers": 2,
            "sliding_window": 32,
            "sliding_window_pattern": 3,
            "use_bidirectional_attention": "vision",
            # Where it is left out, the two libraries take different ones.
            "rope_parameters": {
                "full_attention": {
                    "partial_rotary_factor": 0.25,
                    "rope_theta": 1_000_000.0,
                    "rope_type": "proportional",
                },
                "sliding_attention": {"rope_theta": 10_000.0, "rope_type": "default"},
            },
        },
        "vision_config": {
            **_TOWER,
            "model_type": "gemma4_vision",
            "num_key_value_heads": 2,
            "head_dim": 16,
            "global_head_dim": 16,
            "patch_size": 16,
            "position_embedding_size": 128,
            "default_output_length": 70,
        },
    },
    "pixtral": {
        "image_token_index": SPECIAL.index("[IMG]"),
        "text_config": {**_TEXT, "model_type": "mistral", "head_dim": 16},
        "vision_config": {**_TOWER, "model_type": "pixtral", "head_dim": 16, "image_size": 112},
    },
    "mistral3": {
        "image_token_index": SPECIAL.index("[IMG]"),
        "spatial_merge_size": 2,
        "text_config": {**_TEXT, "model_type": "mistral", "head_dim": 16},
        "vision_config": {**_TOWER, "model_type": "pixtral", "head_dim": 16, "image_size": 112},
    },
    "internvl_chat": {
        "image_token_index": SPECIAL.index("<IMG_CONTEXT>"),
        "llm_config": {**_TEXT, "model_type": "qwen2", "attention_bias": True},
        "vision_config": {**_TOWER, "model_type": "intern_vit_6b"},
    },
}
CONFIGS.update(_MORE)
PROCESSORS: dict[str, dict[str, Any]] = {
    "qwen2_vl": {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 14},
    "qwen2_5_vl": {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 14},
    "qwen3_vl": {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 16},
    "gemma3": {
        "image_processor_type": "Gemma3ImageProcessor",
        "size": {"height": 56, "width": 56},
        "image_seq_length": 4,
    },
    "idefics3": {"image_processor_type": "Idefics3ImageProcessor", **_TILED},
    "smolvlm": {"image_processor_type": "SmolVLMImageProcessor", **_TILED},
    "qwen3_5": {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 16},
    "gemma4": {"image_processor_type": "Gemma4ImageProcessor", **_SOFT},
    "pixtral": {"image_processor_type": "PixtralImageProcessor", "size": {"longest_edge": 112}},
    "mistral3": {"image_processor_type": "PixtralImageProcessor", "size": {"longest_edge": 112}},
    "internvl_chat": {"image_processor_type": "InternVLImageProcessor", "size": 56},
    "llava": {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 56},
        "crop_size": {"height": 56, "width": 56},
    },
}
# Their own processors' settings.
CALLS: dict[str, dict[str, Any]] = {
    "gemma3": {"processor_class": "Gemma3Processor", "image_seq_length": 4},
    "gemma4": {"processor_class": "Gemma4Processor", "image_processor": _SOFT},
    "pixtral": {"processor_class": "PixtralProcessor", "patch_size": 14},
    "mistral3": {
        "processor_class": "PixtralProcessor",
        "patch_size": 14,
        "spatial_merge_size": 2,
    },
    "internvl_chat": {
        "processor_class": "InternVLChatProcessor",
        "num_image_token": 4,
        "image_size": 56,
    },
    "idefics3": {"processor_class": "Idefics3Processor", "image_seq_len": 4},
    "smolvlm": {"processor_class": "SmolVLMProcessor", "image_seq_len": 4},
    "llava": {
        "processor_class": "LlavaProcessor",
        "patch_size": 14,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    },
}
