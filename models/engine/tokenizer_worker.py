"""The child process that has one Hugging Face tokenizer: nothing else of ours is loaded here.

The parent writes one line of JSON on stdin: ``{"file": PATH}`` of a tokenizer.json. It is
answered by ``{"decoder": JSON}``, as that file has it, or ``{"error": TEXT}``. Of the further
lines ``{"texts": [...], "add_special": BOOL, "parse_special": BOOL}`` is answered by the ids of
the texts, one after another, and ``{"ids": [...]}`` by what each is: ``[WRITTEN, ADDED,
DECODED]``, or null where there is no such token. When stdin ends, because the parent closed it
or died, so does this process.
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
    decoder = tokenizer.decoder and tokenizer.decoder.__getstate__().decode()
    print(json.dumps({"decoder": decoder}), file=answers, flush=True)
    added = set(tokenizer.get_added_tokens_decoder())
    for line in sys.stdin:
        asked = json.loads(line)
        said: list[object] = []
        if "ids" in asked:
            for id in asked["ids"]:
                # The library's numbers have 32 bits.
                written = tokenizer.id_to_token(id) if 0 <= id < 1 << 32 else None
                decoded = "" if written is None else tokenizer.decode([id], False)
                said.append(None if written is None else [written, id in added, decoded])
        else:
            tokenizer.encode_special_tokens = not asked["parse_special"]
            for text in asked["texts"]:
                said += tokenizer.encode(text, add_special_tokens=asked["add_special"]).ids
        print(json.dumps(said), file=answers, flush=True)


if __name__ == "__main__":
    main()
