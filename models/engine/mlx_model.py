"""What a loaded MLX model is made of: weights, tokenizer, and what runs on them."""

from collections.abc import Callable, Mapping

from models.engine.backend import LoadSpec, Work
from models.engine.hf_tokenizer import fill_in_of, tokenizer_of
from models.engine.mlx_batch import Batches
from models.engine.mlx_choice import Choice
from models.engine.mlx_disk import open_mlx_disk
from models.engine.mlx_echo import Echo
from models.engine.mlx_encoder import decoder_embeddings
from models.engine.mlx_grammar import MlxGrammars
from models.engine.mlx_layers import Layer, Layers, cost_of
from models.engine.mlx_load import (
    Batch,
    Library,
    LoadedFolder,
    first_line,
    is_out_of_memory,
    template_of,
)
from models.engine.mlx_look import Look
from models.engine.mlx_lookup import Drafting, Watch
from models.engine.mlx_prefill import Grid, Reader, grid_for
from models.engine.mlx_runner import Runner
from models.engine.mlx_seeing import SeeingModel, with_shift
from models.engine.mlx_seeing_load import SeeingFolder
from models.engine.mlx_sequence import Sequence
from models.engine.mlx_serial import SerialBatch
from models.engine.mlx_thoughts import ThoughtEnd
from models.engine.mlx_vocabulary import Vocabulary
from models.engine.pieces import pieces_of
from models.engine.prefix_cache import PrefixCache
from models.engine.prepared import refuse_unknown
from models.engine.prompt import Prompter
from models.engine.sampling import own_defaults, resolve
from models.engine.thought_budget import ThoughtBudget
from models.errors import InferenceError, InvalidRequest, ModelCrashed, OutOfMemory
from models.prompt_files import PromptFiles

# On a CPU a pass over nine tokens takes 2.4 times as long as one over one, or more, and drafts
# lose (benchmarks/drafts.py); on a GPU both wait for the weights.
_DRAFTS_ON_CPU = False


class MlxModel:
    """Only its lane's thread calls it; ``prompter`` is for any."""

    def __init__(
        self,
        library: Library,
        loaded: LoadedFolder,
        spec: LoadSpec,
        prompts: PromptFiles | None,
        wake: Callable[[], None],
        seeing: SeeingFolder | None,
    ) -> None:
        tokenizer = loaded.tokenizer
        found = seeing and seeing.eyes(loaded, spec.features_bytes)
        self._eyes, sight = found or (None, None)
        self._mx = library.mx
        self._name = str(spec.model.name)
        template = template_of(spec.model.path, tokenizer)
        self._new_pieces = pieces_of(tokenizer, template.family.tags if template else ())
        ours = tokenizer_of(tokenizer)
        self._vocabulary = Vocabulary(
            loaded.vocabulary_size, tokenizer.eos_token_ids, ours.encode, self._new_pieces
        )
        self._own_defaults = own_defaults(spec.model.path)
        self._grammars = MlxGrammars(library.mx, tokenizer, ours, tokenizer.eos_token_ids)
        self.embeddings = decoder_embeddings(library, loaded, spec)
        handling = Layers(library.mx)
        on_cpu = library.mx.default_device() == library.mx.cpu
        grow = handling.grow(library.make_prompt_cache(loaded.model))
        drafts = not isinstance(loaded.model, SeeingModel)  # which may be alone in decoding
        self._drafts = drafts and grow and (_DRAFTS_ON_CPU or not on_cpu)
        self.prompter = Prompter(
            template,
            ours,
            spec.context_length,
            marks=not grow,
            fill_in=fill_in_of(tokenizer),
            grammars=self._grammars.maker,
            sight=sight,
            get_ready=lambda asked: self._vocabulary.prepare(resolve(asked, self._own_defaults)),
        )
        self._weights_bytes = sum(
            array.nbytes for _, array in library.flatten(loaded.model.parameters())
        )
        grid = grid_for(on_cpu, self._weights_bytes)
        self._disk = prompts and open_mlx_disk(prompts, library, spec, grid.chunk, wake)
        self.runner = self._new_runner(library, loaded, spec, handling, grid)

    def _new_runner(
        self, library: Library, loaded: LoadedFolder, spec: LoadSpec, handling: Layers, grid: Grid
    ) -> Runner:
        model, eyes = loaded.model, self._eyes
        stop_tokens = sorted(loaded.tokenizer.eos_token_ids)
        cost = cost_of(library.mx, model, library.make_prompt_cache(model))

        def new_batch() -> Batch:
            if eyes and not eyes.model.batches:
                return SerialBatch(library.mx, eyes.model, stop_tokens)
            return library.new_batch(
                model,
                stop_tokens=[[token] for token in stop_tokens],
                completion_batch_size=spec.max_sequences,
                prefill_batch_size=spec.max_sequences,
            )

        def new_drafting(row: Sequence, layers: list[Layer]) -> Drafting:
            assert row.watch
            return Drafting(library.mx, model, layers, row.watch, row.sampler)

        return Runner(
            Reader(library.mx, model, lambda: library.make_prompt_cache(model), handling, grid),
            Batches(
                new_batch,
                cost,
                weights_bytes=self._weights_bytes,
                stop_tokens=frozenset(stop_tokens),
                new_drafting=new_drafting,
                with_shift=with_shift if eyes and eyes.model.shifts else None,
            ),
            PrefixCache(
                spec.prompt_cache_bytes, self._disk, handling=handling, least_gain=grid.chunk
            ),
            room_bytes=max(spec.need.cache_bytes, cost(spec.context_length, 1)),
            most_rows=spec.max_sequences,
            new_row=self._new_row,
            new_echo=self._new_echo,
            explain=self._explain,
        )

    def close(self) -> None:
        self.runner.close()
        self._grammars.close()
        if self._disk:
            self._disk.close()

    def insert(self, works: Mapping[int, Work]) -> None:
        (tokens,) = {work.tokens for work in works.values()}
        refuse_unknown(tokens, self._vocabulary.size)
        self.runner.insert(works)

    def _new_row(self, ticket: int, work: Work) -> Sequence:
        sampling = resolve(work.sampling, self._own_defaults)
        choice = Choice(self._mx, self._vocabulary, sampling, work.top_logprobs)
        grammars = [self._grammars.processor(work.grammar)] if work.grammar else []
        ends = [self._thought_end(work.thought)] if work.thought else []
        processors = [*choice.processors, *grammars, *ends]
        # With a seed the text is to be the same to the bit, and a longer pass rounds otherwise.
        drafts = self._drafts and not processors and work.sampling.seed is None
        watch = Watch(work.tokens) if drafts else None
        return Sequence(
            ticket,
            self._new_pieces(),
            length=len(work.tokens),
            left=work.max_tokens,
            urgent=work.urgent,
            sampler=choice.sampler,
            processors=processors,
            watchers=[*([watch] if watch else []), *(each.saw for each in (*grammars, *ends))],
            logprobs=choice.logprobs,
            watch=watch,
            look=self._look(work),
        )

    def _look(self, work: Work) -> Look | None:
        if not work.pictures:
            return None
        if self._eyes is None:
            raise InvalidRequest(f"'{self._name}' was loaded without its eyes: see the log.")
        return self._eyes.look(work.tokens, work.pictures)

    def _thought_end(self, budget: ThoughtBudget) -> ThoughtEnd:
        return ThoughtEnd(self._mx, budget, self._vocabulary.piece)

    def _new_echo(self, work: Work) -> Echo:
        return Echo(
            self._mx,
            work.tokens,
            work.top_logprobs or 0,
            piece=self._vocabulary.piece,
            vocabulary_size=self._vocabulary.size,
        )

    def _explain(self, error: Exception) -> InferenceError:
        if isinstance(error, InferenceError):
            return error
        if is_out_of_memory(error):
            return OutOfMemory(
                f"'{self._name}' ran out of memory: use a shorter context or a smaller model."
            )
        return ModelCrashed(f"'{self._name}' failed while it was running: {first_line(error)}")
