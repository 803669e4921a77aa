"""The evaluation harness, with a task of its own making: log-likelihoods, and generation.

Its argument after the address is the folder of the model's tokenizer.
"""

import sys

import datasets
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

URL, TOKENIZER = sys.argv[1], sys.argv[2]
SUMS = [
    {"question": "What is 2 plus 2?", "choices": ["2 + 2 = 4.", "2 + 2 = 9."], "right": 0},
    {"question": "What is 3 plus 4?", "choices": ["3 + 4 = 1.", "3 + 4 = 7."], "right": 1},
]
TURN = "<|im_start|>user\n{{question}}<|im_end|>\n<|im_start|>assistant\n"


def sums(**_):
    return {"test": datasets.Dataset.from_list(SUMS)}


CHOICE = {
    "task": "choice",
    "custom_dataset": sums,
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": TURN,
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "right",
    "target_delimiter": "",
    "metric_list": [{"metric": "acc"}],
}
GENERATION = {
    "task": "generation",
    "custom_dataset": sums,
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": TURN,
    "doc_to_target": "{{choices[right]}}",
    "generation_kwargs": {"until": ["<|im_end|>"], "max_gen_toks": 32, "do_sample": False},
    "metric_list": [{"metric": "exact_match"}],
}
LIKELIHOOD = CHOICE | {
    "task": "likelihood",
    "output_type": "loglikelihood",
    "doc_to_choice": None,
    "doc_to_target": "{{choices[right]}}",
    "metric_list": [{"metric": "acc"}, {"metric": "perplexity"}],
}


def evaluated(*, tokenized):
    return simple_evaluate(
        model="local-completions",
        model_args={
            "model": "pocket",
            "base_url": f"{URL}/v1/completions",
            "tokenizer_backend": "huggingface",
            "tokenizer": TOKENIZER,
            "tokenized_requests": tokenized,
            "max_length": 2048,
            "num_concurrent": 2,
            "batch_size": 1,
        },
        tasks=[CHOICE, GENERATION, LIKELIHOOD],
        task_manager=TaskManager(include_defaults=False),
        bootstrap_iters=0,
    )["results"]


if __name__ == "__main__":
    import json

    answers = {}
    for way, tokenized in (("ids", True), ("texts", False)):
        results = evaluated(tokenized=tokenized)
        answers[f"choice_by_{way}"] = results["choice"]["acc,none"]
        answers[f"generation_by_{way}"] = results["generation"]["exact_match,none"]
        answers[f"perplexity_by_{way}"] = results["likelihood"]["perplexity,none"]
    print(json.dumps(answers))
