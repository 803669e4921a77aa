"""The child process that has one Hugging Face tokenizer: nothing else of ours is loaded here.

The parent writes one line of JSON on stdin: ``{"file": PATH}`` of a tokenizer.json. It is
answered by ``{}`` or ``{"error": TEXT}``. Each further line, ``{"texts": [...],
"add_special": BOOL}``, is answered by the ids of the texts, one after another. When stdin
ends, because the parent closed it or died, so does this process.
"""

# ruff: noqa: PLC0415  # what cannot be imported is told to the parent
import json
import os
import sys


def main() -> None:
    # Whatever prints on stdout: keep the real one for ourselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    config = json.loads(sys.stdin.readline())
    try:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(config["file"])
    except BaseException as error:  # some faults of a file are panics of its library
        print(json.dumps({"error": f"{error}"}), file=answers, flush=True)
        return
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        ids: list[int] = []
        for text in asked["texts"]:
            ids += tokenizer.encode(text, add_special_tokens=asked["add_special"]).ids
        print(json.dumps(ids), file=answers, flush=True)


if __name__ == "__main__":
    main()
