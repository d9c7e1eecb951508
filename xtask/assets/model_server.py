"""Serves one small language model on loopback, in the OpenAI style, until it is stopped."""

import argparse
import signal

import xllamacpp

PARALLEL_ANSWERS = 2


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="file with the weights (GGUF)")
    parser.add_argument("--alias", required=True, help="name of the model on the wire")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--context", type=int, required=True, help="tokens in one conversation")
    return parser.parse_args()


def parameters(options):
    wanted = xllamacpp.CommonParams()
    wanted.model.path = options.model
    wanted.model_alias = {options.alias}
    wanted.hostnames = ["127.0.0.1"]
    wanted.port = options.port
    wanted.n_parallel = PARALLEL_ANSWERS
    wanted.n_ctx = options.context * PARALLEL_ANSWERS
    # One thread: on a machine that also runs everything else, more are slower.
    wanted.cpuparams.n_threads = 1
    wanted.cpuparams_batch.n_threads = 1
    wanted.use_jinja = True
    return wanted


def main():
    stop = {signal.SIGTERM, signal.SIGINT}
    # Blocked before the server starts its threads, so that the signal comes to `sigwait` alone.
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    server = xllamacpp.Server(parameters(arguments()))
    print("listening at", server.listening_address, flush=True)
    signal.sigwait(stop)


main()
