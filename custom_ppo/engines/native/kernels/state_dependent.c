/* gSDE, for Box actions: exploration noise that is a linear function of the features h(s) of the actor's last layer.
 *
 *     a = mean + h(s) W,  W ~ N(0, sigma^2),  so that  std(s)^2 = h(s)^2 sigma^2
 *     Raffin et al. 2022, arXiv 2005.05719; custom_ppo/distributions.py, StateDependentNoise
 *
 * sigma is exp(log_std), or "expln" of it; actions may be squashed by tanh. The matrices W are drawn by policy.reset_noise,
 * and kept for many steps. The features are detached: noise does not train them.
 */
#include "kernels.h"

/* Noise of `sample`; mirrored by `_Matrices` in heads.py. */
typedef struct {
    const float *weights; /* W [f, k] for all states if shared, else one for each of n states, [n, f, k] */
    int32_t shared;
} Matrices;

typedef struct {
    Learner *learner;
    int f, columns; /* log_std is [f, columns]; columns: k, or 1 if all components of an action share it */
    bool use_expln, squash;
    const float *log_std;
    float *grad_log_std;
    float *exp_log_std, *above, *column;  /* [f, columns]; above: argument of log1p */
    float *sigma, *variance, *grad_sigma; /* [f, k] */
    float *squares;                       /* h(s)^2, [n, f] */
    float *gaussian, *noise, *correction; /* [n, k], [n, k], [n] */
    Normals normals;
} StateDependent;

static const float EPSILON = 1e-6f;
static const float SQUASHED_LIMIT = 1.0f - 1.1920929e-07f; /* 1 - torch.finfo(torch.float32).eps */

/* exp(x) where x <= 0, else log(1 + x + 1e-6) + 1, which grows slower */
static void expln(StateDependent *own, float *sigma) {
    int64_t size = (int64_t)own->f * own->columns;
    for (int64_t i = 0; i < size; ++i)
        own->above[i] = own->log_std[i] * (own->log_std[i] > 0 ? 1.0f : 0.0f) + EPSILON;
    sleef_log1p(size, own->above, sigma);
    for (int64_t i = 0; i < size; ++i) {
        float below = own->exp_log_std[i] * (own->log_std[i] <= 0 ? 1.0f : 0.0f);
        sigma[i] = below + (sigma[i] + 1.0f) * (own->log_std[i] > 0 ? 1.0f : 0.0f);
    }
}

/* sigma [f, k] */
static void set_sigma(StateDependent *own) {
    int64_t size = (int64_t)own->f * own->columns;
    int k = own->normals.k;
    float *sigma = own->columns == k ? own->sigma : own->column;
    vml_exp(size, own->log_std, own->exp_log_std);
    if (own->use_expln)
        expln(own, sigma);
    else
        memcpy(sigma, own->exp_log_std, (size_t)size * sizeof(float));
    if (sigma != own->sigma) /* ones [f, k] * sigma [f, 1] */
        for (int64_t i = 0; i < (int64_t)own->f * k; ++i)
            own->sigma[i] = sigma[i / k];
}

/* std = sqrt(h^2 sigma^2 + 1e-6), [n, k] */
static void set_standard_deviations(StateDependent *own, int n) {
    int k = own->normals.k, f = own->f;
    const float *latent = latent_of(own->learner);
    float *std = own->normals.std;
    set_sigma(own);
    for (int64_t i = 0; i < (int64_t)n * f; ++i)
        own->squares[i] = latent[i] * latent[i];
    for (int64_t i = 0; i < (int64_t)f * k; ++i)
        own->variance[i] = own->sigma[i] * own->sigma[i];
    multiply(std, n, k, f, rows(own->squares, f), rows(own->variance, k), 0);
    for (int64_t i = 0; i < (int64_t)n * k; ++i)
        std[i] = std[i] + EPSILON;
    vml_sqrt((int64_t)n * k, std, std);
}

/* Squashed actions [n, k] -> own->gaussian [n, k], the artanh of them, kept away from the +-1 that tanh rounds to; and
 * own->correction [n], the log of the change of density, sum log(1 - tanh^2 + 1e-6). */
static void unsquash(StateDependent *own, const float *actions, int n) {
    int64_t size = (int64_t)n * own->normals.k;
    float *x = own->gaussian, *work = own->normals.work;
    for (int64_t i = 0; i < size; ++i) {
        float bounded = actions[i] < -SQUASHED_LIMIT ? -SQUASHED_LIMIT : actions[i];
        x[i] = bounded > SQUASHED_LIMIT ? SQUASHED_LIMIT : bounded;
        work[i] = -x[i];
    }
    sleef_log1p(size, x, x);
    sleef_log1p(size, work, work);
    for (int64_t i = 0; i < size; ++i)
        x[i] = 0.5f * (x[i] - work[i]);
    vml_tanh(size, x, work);
    for (int64_t i = 0; i < size; ++i)
        work[i] = (1.0f - work[i] * work[i]) + EPSILON;
    vml_log(size, work, work);
    sum_over_columns(work, n, own->normals.k, own->correction);
}

/* std is set */
static void log_density(StateDependent *own, const float *means, const float *actions, int n, float *log_prob,
                        float *entropy) {
    if (!own->squash) {
        normals_evaluate(&own->normals, means, actions, n, log_prob, entropy);
        return;
    }
    unsquash(own, actions, n);
    normals_evaluate(&own->normals, means, own->gaussian, n, log_prob, NULL);
    for (int i = 0; i < n; ++i)
        log_prob[i] = log_prob[i] - own->correction[i];
}

/* noise: a `Matrices` */
static bool sample(Head *head, const float *outputs, int n, const float *noise, void *actions, float *log_prob) {
    StateDependent *own = head->own;
    const Matrices *matrices = (const void *)noise;
    const float *latent = latent_of(own->learner);
    int k = head->n_outputs;
    float *chosen = actions;
    if (matrices->shared)
        multiply(own->noise, n, k, own->f, rows(latent, own->f), rows(matrices->weights, k), 0);
    else
        multiply_each(own->noise, n, k, own->f, latent, matrices->weights);
    set_standard_deviations(own, n);
    for (int64_t i = 0; i < (int64_t)n * k; ++i)
        own->noise[i] = outputs[i] + own->noise[i];
    if (own->squash)
        vml_tanh((int64_t)n * k, own->noise, chosen);
    else
        memcpy(chosen, own->noise, (size_t)n * (size_t)k * sizeof(float));
    log_density(own, outputs, chosen, n, log_prob, NULL);
    return true;
}

static void evaluate(Head *head, const float *outputs, const float *actions, int n, float *log_prob, float *entropy) {
    StateDependent *own = head->own;
    set_standard_deviations(own, n);
    log_density(own, outputs, actions, n, log_prob, entropy);
}

/* d loss / d sigma [f, k] -> d loss / d log_std [f, columns]; log1p_backward is grad / (argument + 1). */
static void log_std_gradient(StateDependent *own, const float *grad_sigma) {
    const float *grad = grad_sigma;
    if (own->columns != own->normals.k) {
        sum_over_columns(grad_sigma, own->f, own->normals.k, own->column);
        grad = own->column;
    }
    for (int64_t i = 0; i < (int64_t)own->f * own->columns; ++i) {
        float below = own->log_std[i] <= 0 ? 1.0f : 0.0f, above = own->log_std[i] > 0 ? 1.0f : 0.0f;
        if (own->use_expln)
            own->grad_log_std[i] =
                ((grad[i] * above) / (own->above[i] + 1.0f)) * above + (grad[i] * below) * own->exp_log_std[i];
        else
            own->grad_log_std[i] = grad[i] * own->exp_log_std[i];
    }
}

static void backward(Head *head, const float *grad_log_prob, float grad_entropy, int n, float *grad_outputs) {
    StateDependent *own = head->own;
    int k = head->n_outputs, f = own->f;
    float *grad = own->normals.work;
    normals_gradients(&own->normals, grad_log_prob, grad_entropy, n, grad_outputs, grad);
    for (int64_t i = 0; i < (int64_t)n * k; ++i)
        grad[i] = grad[i] / (2.0f * own->normals.std[i]);
    /* at::mm of the transposed squares. One single number counts as column-major, for which mm_mat2_backward
     * exchanges the operands. */
    if (f == 1 && k == 1)
        multiply(own->grad_sigma, 1, 1, n, transposed(grad, 1), rows(own->squares, 1), 0);
    else
        multiply(own->grad_sigma, f, k, n, transposed(own->squares, f), rows(grad, k), 0);
    for (int64_t i = 0; i < (int64_t)f * k; ++i)
        own->grad_sigma[i] = own->grad_sigma[i] * (2.0f * own->sigma[i]);
    log_std_gradient(own, own->grad_sigma);
}

/* log_std: [latent, n_components] if full_std, else [latent, 1]; the layers of the actor are known */
EXPORT void learner_add_state_dependent(Learner *learner, int n_components, const float *log_std, float *grad_log_std,
                                        bool full_std, bool use_expln, bool squash) {
    int f = latent_size_of(learner), columns = full_std ? n_components : 1;
    int64_t n = capacity_of(learner), weights = (int64_t)f * n_components;
    StateDependent *own = new_bytes(learner, sizeof *own);
    *own = (StateDependent){
        .learner = learner,
        .f = f,
        .columns = columns,
        .use_expln = use_expln,
        .squash = squash,
        .log_std = log_std,
        .grad_log_std = grad_log_std,
        .exp_log_std = new_floats(learner, (int64_t)f * columns),
        .above = new_floats(learner, (int64_t)f * columns),
        .column = new_floats(learner, (int64_t)f * columns),
        .sigma = new_floats(learner, weights),
        .variance = new_floats(learner, weights),
        .grad_sigma = new_floats(learner, weights),
        .squares = new_floats(learner, n * f),
        .gaussian = new_floats(learner, n * n_components),
        .noise = new_floats(learner, n * n_components),
        .correction = new_floats(learner, n),
        .normals = new_normals(learner, n_components),
    };
    *head_of(learner) = (Head){
        .n_outputs = n_components,
        .n_actions = n_components,
        .has_entropy = !squash,
        .sample = sample,
        .evaluate = evaluate,
        .backward = backward,
        .own = own,
    };
}
