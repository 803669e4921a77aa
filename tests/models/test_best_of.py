from models.best_of import likeliest
from models.events import Finished, FinishReason, TextDelta, TokenLogprob
from models.reply import Reply


def reply(*logprobs: float, finished: bool = True) -> Reply:
    made = Reply()
    for each in logprobs:
        made.take(TextDelta("a", (TokenLogprob(1, b"a", each),)))
    if finished:
        made.take(Finished(FinishReason.END_OF_TURN))
    return made


def test_the_best_answers_are_those_with_the_likeliest_tokens() -> None:
    poor, good, middling = reply(-3.0, -1.0), reply(-0.1), reply(-0.5, -0.9, -0.4)

    assert likeliest([poor, good, middling], 2) == [good, middling]


def test_a_long_answer_is_no_worse_for_its_length() -> None:
    short, long = reply(-0.5), reply(*[-0.4] * 50)

    assert likeliest([short, long], 1) == [long]


def test_of_equals_the_first_is_taken() -> None:
    first, second = reply(-1.0), reply(-1.0)

    assert likeliest([first, second], 1)[0] is first


def test_what_has_no_tokens_or_did_not_finish_comes_last() -> None:
    broken, empty, poor = reply(-0.1, finished=False), reply(), reply(-9.0)

    assert likeliest([broken, empty, poor], 3) == [poor, empty, broken]
    assert likeliest([], 3) == []
