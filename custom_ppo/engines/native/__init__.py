"""Native engine: the update and the policy in plain C, with the same bits as autograd.

kernels     the C sources
sources     lists them, and the flags they are compiled with
signatures  declares the functions that Python calls
library     loads what was compiled at installation, or says why it cannot be used
prediction  most likely actions of any multilayer perceptron, for evaluations
agreement   compares two small policies with autograd, for somebody who asks
status      describes the library for records of runs; `python -m custom_ppo.engines.native` prints it
"""
