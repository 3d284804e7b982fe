/* Actor, critic, distribution and optimiser together: acting in N states, and one epoch of an update.
 *
 * A learner is bound to the arrays of one policy and its optimiser (native/learner.py), and owns all other arrays.
 */
#include "kernels.h"

struct Learner {
    int64_t capacity;
    int n_features;
    Stack actor, critic;
    Head head;
    Optimizer optimizer;
    Minibatch batch;
    float *grad_outputs;
    void **arrays; /* n_arrays of them, with room for `room` */
    int n_arrays, room;
};

/* Grow an array that has no room for one more element; size: of an element in bytes. */
static void *with_room(void *array, int n, int *room, size_t size) {
    if (n < *room)
        return array;
    *room = 2 * *room + 16;
    array = realloc(array, (size_t)*room * size);
    if (!array)
        abort();
    return array;
}

void *new_bytes(Learner *learner, int64_t n) {
    void *array = NULL;
    if (posix_memalign(&array, 64, (size_t)n + 64))
        abort();
    learner->arrays = with_room(learner->arrays, learner->n_arrays, &learner->room, sizeof *learner->arrays);
    memset(array, 0, (size_t)n + 64);
    learner->arrays[learner->n_arrays++] = array;
    return array;
}

float *new_floats(Learner *learner, int64_t n) { return new_bytes(learner, n * (int64_t)sizeof(float)); }
int64_t capacity_of(const Learner *learner) { return learner->capacity; }
Stack *actor_of(Learner *learner) { return &learner->actor; }
int latent_size_of(const Learner *learner) { return learner->actor.layers[learner->actor.n_layers - 1].n_in; }

const float *latent_of(const Learner *learner) {
    const Stack *actor = &learner->actor;
    return actor->n_layers > 1 ? actor->layers[actor->n_layers - 2].output : learner->batch.features;
}

Head *head_of(Learner *learner) { return &learner->head; }

/* ---- making a learner: learner_new, its layers, its head, its optimiser and parameters, learner_ready ---- */

/* capacity: most states that are handled at once, of a minibatch or of parallel environments */
EXPORT Learner *learner_new(int64_t capacity, int n_features) {
    Learner *learner = calloc(1, sizeof *learner);
    if (!learner)
        abort();
    learner->capacity = capacity;
    learner->n_features = n_features;
    return learner;
}

EXPORT void learner_free(Learner *learner) {
    for (int i = 0; i < learner->n_arrays; ++i)
        free(learner->arrays[i]);
    free(learner->arrays);
    free(learner->actor.layers);
    free(learner->critic.layers);
    free(learner);
}

/* Add a layer behind the last one of the critic, or of the actor. */
EXPORT void learner_add_layer(Learner *learner, bool of_critic, int n_in, int n_out, int activation, double slope,
                              const float *weight, const float *bias, float *grad_weight, float *grad_bias) {
    Stack *stack = of_critic ? &learner->critic : &learner->actor;
    stack->layers = with_room(stack->layers, stack->n_layers, &stack->room, sizeof *stack->layers);
    float *output = new_floats(learner, learner->capacity * n_out);
    float *before = needs_input((Activation)activation) ? new_floats(learner, learner->capacity * n_out) : output;
    stack->layers[stack->n_layers++] = (Layer){n_in, n_out,       (Activation)activation, (float)slope, weight,
                                               bias, grad_weight, grad_bias,              before,       output};
}

/* state: arrays of the optimiser's state, null where it has fewer than three; options: see optimizers.c */
EXPORT void learner_set_optimizer(Learner *learner, int kind, int64_t size, float *values, float *grads,
                                  float *const *state, const double *options, int n_parameters,
                                  const float *const *parameter_grads, const int64_t *parameter_sizes) {
    Optimizer *optimizer = &learner->optimizer;
    optimizer->kind = (OptimizerKind)kind;
    optimizer->size = size;
    optimizer->values = values;
    optimizer->grads = grads;
    optimizer->scratch = new_floats(learner, size);
    memcpy(optimizer->state, state, sizeof optimizer->state);
    memcpy(optimizer->options, options, sizeof optimizer->options);
    optimizer->n_parameters = n_parameters;
    optimizer->norms = new_floats(learner, n_parameters);
    optimizer->parameter_grads = new_bytes(learner, n_parameters * (int64_t)sizeof(float *));
    optimizer->parameter_sizes = new_bytes(learner, n_parameters * (int64_t)sizeof(int64_t));
    memcpy(optimizer->parameter_grads, parameter_grads, (size_t)n_parameters * sizeof(float *));
    memcpy(optimizer->parameter_sizes, parameter_sizes, (size_t)n_parameters * sizeof(int64_t));
}

static void give_spare_arrays(Learner *learner, Stack *stack) {
    int widest = 1;
    for (int i = 0; i < stack->n_layers; ++i)
        widest = stack->layers[i].n_in > widest ? stack->layers[i].n_in : widest;
    for (int i = 0; i < 2; ++i)
        stack->spare[i] = new_floats(learner, learner->capacity * widest);
}

/* Make the arrays of a minibatch; layers and head are known. */
EXPORT void learner_ready(Learner *learner) {
    int64_t n = learner->capacity;
    give_spare_arrays(learner, &learner->actor);
    give_spare_arrays(learner, &learner->critic);
    Minibatch *batch = &learner->batch;
    batch->features = new_floats(learner, n * learner->n_features);
    batch->actions = new_floats(learner, n * learner->head.n_actions);
    learner->grad_outputs = new_floats(learner, n * learner->head.n_outputs);
    float **of_states[] = {&batch->advantages, &batch->old_log_prob, &batch->old_values,    &batch->returns,
                           &batch->log_prob,   &batch->entropy,      &batch->log_ratio,     &batch->ratio,
                           &batch->unclipped,  &batch->clipped,      &batch->moved,         &batch->judged,
                           &batch->scratch,    &batch->grad_values,  &batch->grad_log_prob};
    for (size_t i = 0; i < sizeof of_states / sizeof *of_states; ++i)
        *of_states[i] = new_floats(learner, n);
}

EXPORT double learner_steps(const Learner *learner) { return learner->optimizer.n_steps; }
EXPORT void learner_set_steps(Learner *learner, double n_steps) { learner->optimizer.n_steps = n_steps; }

/* ---- acting ---- */

/* Copied to where a tensor would begin: numpy's arrays begin at any multiple of 16 bytes. */
static const float *aligned_features(Learner *learner, const float *features, int n) {
    size_t size = (size_t)n * (size_t)learner->n_features * sizeof(float);
    memcpy(learner->batch.features, features, size);
    return learner->batch.features;
}

/* Critic's V(s) of n states [n, features] -> values [n]. */
EXPORT void learner_values(Learner *learner, const float *features, int n, float *values) {
    const float *x = aligned_features(learner, features, n);
    memcpy(values, stack_forward(&learner->critic, x, n), (size_t)n * sizeof(float));
}

/* Outputs of the actor's last layer in n states [n, features] -> outputs [n, n_out], before any distribution. */
EXPORT void learner_outputs(Learner *learner, const float *features, int n, float *outputs) {
    const float *x = aligned_features(learner, features, n);
    int n_out = learner->actor.layers[learner->actor.n_layers - 1].n_out;
    memcpy(outputs, stack_forward(&learner->actor, x, n), (size_t)n * (size_t)n_out * sizeof(float));
}

/* Sample actions in n states [n, features] -> actions, V(s) [n] and log pi(a|s) [n].
 * noise: what the head's distribution draws. Returns false if a probability is not finite, so that no action can be
 * drawn. */
EXPORT bool learner_act(Learner *learner, const float *features, int n, const float *noise, void *actions,
                        float *values, float *log_prob) {
    const float *x = aligned_features(learner, features, n);
    const float *outputs = stack_forward(&learner->actor, x, n);
    bool possible = learner->head.sample(&learner->head, outputs, n, noise, actions, log_prob);
    memcpy(values, stack_forward(&learner->critic, x, n), (size_t)n * sizeof(float));
    return possible;
}

/* ---- update ---- */

/* Transitions of a whole rollout, [N] or [N, ...]; mirrored by `Rollout` in learner.py. */
typedef struct {
    const float *features, *actions, *old_values, *old_log_prob, *advantages, *returns;
} Rollout;

static void gather(Learner *learner, const Rollout *rollout, const int64_t *indices, int n) {
    Minibatch *batch = &learner->batch;
    int k = learner->n_features, a = learner->head.n_actions;
    batch->n = n;
    for (int i = 0; i < n; ++i) {
        int64_t row = indices[i];
        memcpy(batch->features + (int64_t)i * k, rollout->features + row * k, (size_t)k * sizeof(float));
        memcpy(batch->actions + (int64_t)i * a, rollout->actions + row * a, (size_t)a * sizeof(float));
        batch->advantages[i] = rollout->advantages[row];
        batch->old_log_prob[i] = rollout->old_log_prob[row];
        batch->old_values[i] = rollout->old_values[row];
        batch->returns[i] = rollout->returns[row];
    }
}

static Terms forward(Learner *learner, const Numbers *numbers) {
    Minibatch *batch = &learner->batch;
    Head *head = &learner->head;
    const float *outputs = stack_forward(&learner->actor, batch->features, batch->n);
    head->evaluate(head, outputs, batch->actions, batch->n, batch->log_prob, batch->entropy);
    batch->values = (float *)stack_forward(&learner->critic, batch->features, batch->n);
    return loss_terms(batch, numbers, head->has_entropy);
}

static void backward(Learner *learner, const Numbers *numbers) {
    Minibatch *batch = &learner->batch;
    Head *head = &learner->head;
    float grad_entropy;
    loss_gradient(batch, numbers, head->has_entropy, &grad_entropy);
    if (numbers->ent_coef == 0)
        grad_entropy = 0;
    head->backward(head, batch->grad_log_prob, grad_entropy, batch->n, learner->grad_outputs);
    stack_backward(&learner->actor, batch->features, learner->grad_outputs, batch->n);
    stack_backward(&learner->critic, batch->features, batch->grad_values, batch->n);
}

static bool is_choice(float action, int32_t n_choices) {
    return action > -1.0f && action < (float)n_choices; /* truncated, as by Tensor.long; false for NaN */
}

/* Return true if indices and actions are such that no array is left: 0 <= index < n_transitions, and integers that the
 * distribution knows. Users may exchange both. PyTorch's functions raise an error for others. */
EXPORT bool learner_accepts(const Learner *learner, const float *actions, int64_t n_transitions, const int64_t *order,
                            int64_t n_order) {
    const Head *head = &learner->head;
    for (int64_t i = 0; i < n_order; ++i)
        if (order[i] < 0 || order[i] >= n_transitions)
            return false;
    if (head->n_choices)
        for (int64_t i = 0; i < n_transitions; ++i)
            for (int j = 0; j < head->n_actions; ++j)
                if (!is_choice(actions[i * head->n_actions + j], head->n_choices[j]))
                    return false;
    return true;
}

enum { COMPLETE, STOPPED_EARLY, NOT_FINITE };

/* One epoch: the transitions in this order, in minibatches of batch_size, the last of which may be smaller.
 * terms: one per minibatch. n_minibatches: number of those whose loss is known; the last one of an epoch that did not
 * complete made no step. Returns COMPLETE, STOPPED_EARLY (by target_kl), or NOT_FINITE (a loss). */
EXPORT int learner_epoch(Learner *learner, const Rollout *rollout, const int64_t *order, int64_t n_order,
                         int64_t batch_size, const Numbers *numbers, Terms *terms, int64_t *n_minibatches) {
    *n_minibatches = 0;
    learner->optimizer.lr = numbers->learning_rate;
    for (int64_t start = 0; start < n_order; start += batch_size) {
        int n = (int)(n_order - start < batch_size ? n_order - start : batch_size);
        gather(learner, rollout, order + start, n);
        Terms found = forward(learner, numbers);
        terms[(*n_minibatches)++] = found;
        if (!isfinite(found.loss))
            return NOT_FINITE;
        /* SB3 compares float32 with 1.5 * target_kl, before the step that would leave the trust region. */
        if (numbers->stop_at_target_kl && found.approx_kl > (float)(1.5 * numbers->target_kl))
            return STOPPED_EARLY;
        backward(learner, numbers);
        optimizer_step(&learner->optimizer, clip_factor(&learner->optimizer, numbers->max_grad_norm));
    }
    return COMPLETE;
}
