/* One step of SB3's VecNormalize: running statistics of observations and returns, and what is normalised by them.
 *
 * Every operation is rounded as NumPy rounds it in stable_baselines3/common/vec_env/vec_normalize.py and
 * running_mean_std.py: means and variances of a batch in the type of the batch, everything else in float64. */
#include "torch_math.h"

#include <math.h>
#include <stdbool.h>

/* State and results of one step in n environments with d numbers per observation. `normalization.py` has the same
 * fields in the same order. */
typedef struct {
    int64_t n, d;
    int64_t training, norm_obs, norm_reward; /* flags of VecNormalize */
    double epsilon, clip_obs, clip_reward, gamma;
    const float *obs;     /* [n, d], as the environments returned them; the keys of a Dict are columns side by side */
    const float *rewards; /* [n] */
    const bool *alone;    /* [d], true for a column that is an array of its own */
    double *obs_mean;     /* [d] */
    double *obs_var;      /* [d] */
    double *obs_count;    /* [d] */
    double *returns; /* [n], discounted sums of rewards */
    double return_mean, return_var, return_count;
    float *normalized_obs;     /* [n, d] */
    float *normalized_rewards; /* [n] */
    double *scratch;           /* [n] */
} VecNormalizeStep;

/* Sum of n numbers in the order of NumPy: in eight partial sums up to 128 numbers, and in two halves
 * beyond (pairwise_sum in numpy/_core/src/umath/loops_utils.h.src). */
#define PAIRWISE_SUM(type, name)                                                                  \
    static type name(const type *x, int64_t n) {                                                  \
        if (n < 8) {                                                                              \
            type sum = 0;                                                                         \
            for (int64_t i = 0; i < n; i++) sum += x[i];                                          \
            return sum;                                                                           \
        }                                                                                         \
        if (n > 128) {                                                                            \
            const int64_t half = n / 2 - n / 2 % 8;                                               \
            return name(x, half) + name(x + half, n - half);                                      \
        }                                                                                         \
        type part[8];                                                                             \
        for (int k = 0; k < 8; k++) part[k] = x[k];                                               \
        int64_t i = 8;                                                                            \
        for (; i < n - n % 8; i += 8)                                                             \
            for (int k = 0; k < 8; k++) part[k] += x[i + k];                                      \
        type sum = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7])); \
        for (; i < n; i++) sum += x[i];                                                           \
        return sum;                                                                               \
    }
PAIRWISE_SUM(double, pairwise_sum)
PAIRWISE_SUM(float, pairwise_float_sum)

/* Combine running moments of `count` numbers with those of a batch of n (Chan et al.'s parallel algorithm):
 *
 *     delta = batch_mean - mean
 *     mean' = mean + delta * n / (count + n)
 *     var'  = (var * count + batch_m2 + delta^2 * count * n / (count + n)) / (count + n)
 *
 * batch_m2: variance of the batch times n, rounded in the type of the batch. RunningMeanStd.update_from_moments */
static void combine(double *mean, double *var, double count, double n, double batch_mean, double batch_m2) {
    const double total = count + n, delta = batch_mean - *mean;
    *mean = *mean + delta * n / total;
    *var = (*var * count + batch_m2 + delta * delta * count * n / total) / total;
}

/* Sum of a column in the order of NumPy's sum over the first axis: the rows of a batch [n, d] are added one by one where
 * d > 1, and pairwise if the column is alone. */
static float column_sum(const float *column, int64_t n, bool alone) {
    if (alone) return pairwise_float_sum(column, n);
    float sum = column[0];
    for (int64_t i = 1; i < n; i++) sum += column[i];
    return sum;
}

/* Take the observations into their statistics, one column after the other. RunningMeanStd.update */
static void update_observations(VecNormalizeStep *s) {
    const float n = (float)s->n;
    float *column = (float *)s->scratch; /* copied, as those of a batch lie d numbers apart */
    for (int64_t j = 0; j < s->d; j++) {
        for (int64_t i = 0; i < s->n; i++) column[i] = s->obs[i * s->d + j];
        const float mean = column_sum(column, s->n, s->alone[j]) / n;
        for (int64_t i = 0; i < s->n; i++) column[i] = (column[i] - mean) * (column[i] - mean);
        const float squares = column_sum(column, s->n, s->alone[j]);
        combine(s->obs_mean + j, s->obs_var + j, s->obs_count[j], (double)s->n, mean, squares / n * n);
    }
}

/* Discount the returns, add the rewards, and take the returns into their statistics. VecNormalize._update_reward */
static void update_returns(VecNormalizeStep *s) {
    const double n = (double)s->n;
    for (int64_t i = 0; i < s->n; i++) s->returns[i] = s->returns[i] * s->gamma + (double)s->rewards[i];
    const double mean = pairwise_sum(s->returns, s->n) / n;
    for (int64_t i = 0; i < s->n; i++) s->scratch[i] = (s->returns[i] - mean) * (s->returns[i] - mean);
    combine(&s->return_mean, &s->return_var, s->return_count, n, mean, pairwise_sum(s->scratch, s->n) / n * n);
}

/* x within [-limit, limit], or NaN; np.clip */
static float clipped(double x, double limit) {
    const double raised = x < -limit ? -limit : x;
    return (float)(raised > limit ? limit : raised);
}

/* (obs - mean) / sqrt(var + epsilon), clipped. VecNormalize._normalize_obs */
static void normalize_observations(VecNormalizeStep *s) {
    for (int64_t j = 0; j < s->d; j++) {
        const double mean = s->obs_mean[j], scale = sqrt(s->obs_var[j] + s->epsilon);
        for (int64_t i = j; i < s->n * s->d; i += s->d)
            s->normalized_obs[i] = clipped(((double)s->obs[i] - mean) / scale, s->clip_obs);
    }
}

/* reward / sqrt(var of the returns + epsilon), clipped. VecNormalize.normalize_reward */
static void normalize_rewards(VecNormalizeStep *s) {
    const double scale = sqrt(s->return_var + s->epsilon);
    for (int64_t i = 0; i < s->n; i++)
        s->normalized_rewards[i] = clipped((double)s->rewards[i] / scale, s->clip_reward);
}

/* Update the statistics while training, then normalise by them. VecNormalize.step_wait */
EXPORT void vec_normalize_step(VecNormalizeStep *s) {
    if (s->training && s->norm_obs) update_observations(s);
    if (s->norm_obs) normalize_observations(s);
    if (s->training) update_returns(s);
    if (s->norm_reward) normalize_rewards(s);
}
