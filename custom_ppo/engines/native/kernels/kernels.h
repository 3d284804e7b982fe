/* PPO in plain C, to the bits of PyTorch.
 *
 * An update and the steps of a rollout are long chains of small tensor operations, and PyTorch spends far more time on
 * starting one than on computing it. Here the same operations run on plain arrays, in the same order and with the same
 * rounding.
 *
 *     torch_math.c        exp, log, tanh, sqrt and matrix products: the very functions that PyTorch calls
 *     elementwise.c       the same for arrays
 *     square_roots.c      square roots once more, for arrays of many parameters
 *     sums.c              sums, means, norms: floating-point addition is not associative, so the order of ATen is kept
 *     matrix.c            products of matrices, down to the arguments with which ATen calls sgemm
 *     activations.c       tanh, ReLU, ELU, ..., and their derivatives
 *     layers.c            linear layers with activations, forward and backward
 *     categorical.c ...   distributions over actions: sample, log-probability and entropy, gradient
 *     objective.c         normalised advantages, PPO's objectives (eq. 7 and 8), the value loss (eq. 9), gradients
 *     optimizers.c        clipping of the gradient's norm, and the step
 *     learner.c           acting in N states, and one epoch of an update: the two entries that put the others together
 *     gae.c               advantages of a rollout
 *     convolution.c       gradient of the first convolution of a CNN, for the fused engine
 *
 * Equations are those of Schulman et al. 2017, arXiv 1707.06347. docs/kernels.md maps functions to equations and ATen
 * operations.
 *
 * Two rules keep the bits. A product and a sum are contracted to one rounding (fmaf) only where ATen's compiled kernel
 * does so; the compiler is told not to contract by itself (-ffp-contract=off). Arrays begin at multiples of 64 bytes,
 * as PyTorch's do: sgemm may sum in another order elsewhere.
 *
 * All matrices are row-major and contiguous: [n, k] is n rows of k float32.
 */
#ifndef CUSTOM_PPO_KERNELS_H
#define CUSTOM_PPO_KERNELS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "torch_math.h"

/* Eight float32, as in ATen's Vectorized<float> for AVX2; `v8` may begin anywhere. */
typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));

/* ---- elementwise.c: functions of n numbers; x and y may be the same array ---- */

void vml_exp(int64_t n, const float *x, float *y);
void vml_log(int64_t n, const float *x, float *y);
void vml_tanh(int64_t n, const float *x, float *y);
void vml_sqrt(int64_t n, const float *x, float *y);
void sleef_exp(int64_t n, const float *x, float *y);
void sleef_erf(int64_t n, const float *x, float *y);
void sleef_expm1(int64_t n, const float *x, float *y);
void sleef_log1p(int64_t n, const float *x, float *y);
void sleef_tanh(int64_t n, const float *x, float *y);
void sgemm(char transpose_a, char transpose_b, int m, int n, int k, const float *a, int lda, const float *b, int ldb,
           float beta, float *c, int ldc);
/* Number of float32 in the vectors of those ATen kernels that are compiled for AVX-512 too: 8 or 16. */
int wide_lanes(void);

/* ---- square_roots.c ---- */

void square_roots(int64_t n, const float *x, float *y); /* vml_sqrt in less time; y may be x */

/* ---- sums.c ---- */

float sum(const float *x, int64_t n);                                               /* x.sum(), x [n] */
void sum_over_rows(const float *x, int64_t n, int64_t k, float *out);               /* x.sum(0), x [n, k] -> [k] */
void sum_over_columns(const float *x, int64_t n, int64_t k, float *out);            /* x.sum(-1), x [n, k] -> [n] */
float mean(const float *x, int64_t n);                                              /* x.mean() */
float standard_deviation(const float *x, int64_t n);                                /* x.std(), dividing by n - 1 */
float norm(const float *x, int64_t n);                                              /* torch.linalg.vector_norm(x, 2) */
float largest(const float *x, int64_t n);                                           /* x.max() */
float reduced_sum(const float *x, int64_t n);                                       /* vec::reduce_all, of softmax */
float reduced_dot(const float *x, const float *y, int64_t n);                       /* vec::map2_reduce_all */

/* ---- matrix.c ---- */

/* A matrix [rows, columns] inside an array: element (i, j) is at[i * row + j * column]. */
typedef struct {
    const float *at;
    int row, column;
} View;
/* c [n, m] = beta * c + a [n, k] b [k, m] */
void multiply(float *c, int n, int m, int k, View a, View b, float beta);
/* c [n, m] = a [n, k] b [n, k, m]: a vector and a matrix of its own for each i, as torch.bmm */
void multiply_each(float *c, int n, int m, int k, const float *a, const float *b);
static inline View rows(const float *x, int columns) { return (View){x, columns, 1}; }       /* x as it is */
/* x [n, columns], transposed */
static inline View transposed(const float *x, int columns) { return (View){x, 1, columns}; }

/* ---- activations.c ---- */

typedef enum { NO_ACTIVATION, TANH, RELU, ELU, GELU_TANH, LEAKY_RELU, SILU, SIGMOID } Activation;

/* y = activation(x), for n numbers; y may be x where `needs_input` is false */
void activate(Activation activation, float slope, int64_t n, const float *x, float *y);
/* grad is d loss / d y on entry and d loss / d x on return, where y = activation(x) */
void activation_gradient(Activation activation, float slope, int64_t n, const float *x, const float *y, float *grad);
/* Return true if the gradient is a function of x; that of the others is one of y. */
bool needs_input(Activation activation);

/* ---- layers.c ---- */

typedef struct {
    int n_in, n_out;
    Activation activation;
    float slope; /* of negative inputs: alpha of ELU, negative_slope of LeakyReLU */
    const float *weight, *bias;
    float *grad_weight, *grad_bias;
    float *before; /* [n, n_out], before the activation; the same array as `output` where backward needs none */
    float *output; /* [n, n_out] */
} Layer;

typedef struct {
    int n_layers, room;
    Layer *layers; /* n_layers of them, with room for `room` */
    float *spare[2]; /* gradients on their way back, [n, widest layer] */
} Stack;

const float *stack_forward(const Stack *stack, const float *x, int n);
void stack_backward(const Stack *stack, const float *x, const float *grad_output, int n);

/* ---- distributions ---- */

typedef struct Head Head;
typedef struct Learner Learner;

/* Distribution over actions, given the outputs of the actor's last layer. */
struct Head {
    int n_outputs; /* numbers per state that the actor's network returns */
    int n_actions; /* numbers of one action */
    bool integers; /* true: sampled actions are int64, otherwise float32 */
    bool has_entropy;
    const int32_t *n_choices; /* of each number of an action, [n_actions]; null if they are not integers */
    /* noise -> actions [n, n_actions] and their log-probabilities [n]; returns false if no action can be drawn */
    bool (*sample)(Head *head, const float *outputs, int n, const float *noise, void *actions, float *log_prob);
    /* actions [n, n_actions] -> log_prob [n], entropy [n]; keeps what `backward` needs */
    void (*evaluate)(Head *head, const float *outputs, const float *actions, int n, float *log_prob, float *entropy);
    /* d loss / d log_prob [n], and d loss / d entropy (one number for all states; 0: none) -> d loss / d outputs */
    void (*backward)(Head *head, const float *grad_log_prob, float grad_entropy, int n, float *grad_outputs);
    void *own; /* data of one kind of distribution */
};

/* ---- categorical.c: the parts of MultiDiscrete actions too ---- */

Head new_categorical(Learner *learner, int n_choices);

/* ---- gaussian.c: normal distributions with means and standard deviations of every state ---- */

/* Arrays [n, k] of a batch; `evaluate` fills all but std, and `gradients` reads them. */
typedef struct {
    int k;
    float *std, *log_std; /* log_std: the logarithm of std, which is not the parameter log_std in the last bit */
    float *distance, *minus_square, *twice_variance, *work;
} Normals;

Normals new_normals(Learner *learner, int n_components);
/* entropy: null if it is not wanted */
void normals_evaluate(Normals *normals, const float *means, const float *actions, int n, float *log_prob,
                      float *entropy);
void normals_gradients(const Normals *normals, const float *grad_log_prob, float grad_entropy, int n, float *grad_means,
                       float *grad_std);

/* ---- learner.c: arrays that live as long as the learner ---- */

float *new_floats(Learner *learner, int64_t n); /* zeroed, at a multiple of 64 bytes */
void *new_bytes(Learner *learner, int64_t n);
int64_t capacity_of(const Learner *learner); /* most states that are handled at once */
Stack *actor_of(Learner *learner);
const float *latent_of(const Learner *learner); /* input of the actor's last layer in its last forward pass */
int latent_size_of(const Learner *learner);     /* number of its columns */
Head *head_of(Learner *learner);

/* ---- optimizers.c ---- */

typedef enum { ADAM, ADAMW, RMSPROP, RMSPROP_TF_LIKE, SGD } OptimizerKind;

/* One optimiser over all parameters, which are parts of one array, like their gradients and every state. */
typedef struct {
    OptimizerKind kind;
    int64_t size; /* of the arrays; gaps between parameters are zero */
    float *values, *grads, *scratch;
    float *state[3];
    double n_steps, lr, options[8];
    int n_parameters;
    const float **parameter_grads; /* gradient of each parameter, and its number of elements */
    int64_t *parameter_sizes;
    float *norms;
} Optimizer;

float clip_factor(Optimizer *optimizer, double max_grad_norm);
/* The gradients are scaled by this factor first. */
void optimizer_step(Optimizer *optimizer, float scale);

/* ---- objective.c ---- */

typedef enum { CLIPPED_SURROGATE, LOG_PROB_SURROGATE, KL_PENALTY } ObjectiveKind;
typedef enum { FREE_VALUES, CLIPPED_VALUES, PESSIMISTIC_VALUES } ValueClipping;

/* Numbers of one update; mirrored by `Numbers` in learner.py. */
typedef struct {
    double clip_range, clip_range_vf, beta, ent_coef, vf_coef, max_grad_norm, learning_rate, target_kl;
    int32_t objective, value_clipping, half_value_loss, normalize_advantage, stop_at_target_kl;
} Numbers;

/* Numbers of one minibatch, in the order of custom_ppo's UpdateReport. */
typedef struct {
    float policy_loss, value_loss, entropy_loss, clip_fraction, approx_kl, loss;
} Terms;

/* One minibatch, and what its gradient needs. Arrays [n], n at most the learner's capacity. */
typedef struct {
    int n;
    float *features, *actions; /* [n, features], [n, n_actions] */
    float *advantages, *old_log_prob, *old_values, *returns;
    float *log_prob, *entropy, *values;
    float *log_ratio, *ratio, *unclipped, *clipped, *moved, *judged, *scratch;
    float *grad_log_prob, *grad_values;
} Minibatch;

void normalize_advantages(float *advantages, int64_t n);
Terms loss_terms(Minibatch *batch, const Numbers *numbers, bool has_entropy);
/* grad_entropy: the gradient of the loss by the entropy of every state */
void loss_gradient(Minibatch *batch, const Numbers *numbers, bool has_entropy, float *grad_entropy);

#endif
