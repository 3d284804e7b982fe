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
    int64_t doubles;                         /* type of obs */
    double epsilon, clip_obs, clip_reward, gamma;
    const void *obs;      /* [n, d], as the environments returned them: float, or double where `doubles` is not 0; the
                             keys of a Dict are columns side by side */
    const float *rewards; /* [n] */
    const bool *alone;    /* [d], true for a column that is an array of its own; only with float */
    double *obs_mean;     /* [d] */
    double *obs_var;      /* [d] */
    double *obs_count;    /* [d] */
    double *returns; /* [n], discounted sums of rewards */
    double return_mean, return_var, return_count;
    float *normalized_obs;     /* [n, d] */
    float *normalized_rewards; /* [n] */
    double *scratch;           /* [n] */
} VecNormalizeStep;

/* Sum of n numbers at this stride in the order of NumPy: in eight partial sums up to 128 numbers, and in two halves
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
static inline void combine(double *mean, double *var, double count, double n, double batch_mean, double batch_m2) {
    const double total = count + n, delta = batch_mean - *mean;
    *mean = *mean + delta * n / total;
    *var = (*var * count + batch_m2 + delta * delta * count * n / total) / total;
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
static inline float clipped(double x, double limit) {
    const double raised = x < -limit ? -limit : x;
    return (float)(raised > limit ? limit : raised);
}

enum { WIDTH = 64 }; /* columns that are worked on together, row by row, so that the compiler uses vectors */

/* Two functions of columns of [n, d] for one type of observations.
 *
 * name_moments: mean and variance times n of the batch, each rounded in that type. NumPy adds the rows of a batch one
 * by one where an array has several columns; for one that is alone see below. RunningMeanStd.update
 *
 * name_normalize: (obs - mean) / scale, clipped. VecNormalize._normalize_obs */
#define DEFINE_COLUMNS(type, name)                                                                           \
    static void name##_moments(const type *obs, int64_t n, int64_t d, int64_t width, double *mean, double *m2) { \
        type sum[WIDTH], squares[WIDTH];                                                                     \
        const type size = (type)n;                                                                           \
        for (int64_t j = 0; j < width; j++) sum[j] = obs[j];                                                 \
        for (int64_t i = 1; i < n; i++)                                                                      \
            for (int64_t j = 0; j < width; j++) sum[j] += obs[i * d + j];                                    \
        for (int64_t j = 0; j < width; j++) sum[j] /= size;                                                  \
        for (int64_t j = 0; j < width; j++) squares[j] = (obs[j] - sum[j]) * (obs[j] - sum[j]);              \
        for (int64_t i = 1; i < n; i++)                                                                      \
            for (int64_t j = 0; j < width; j++)                                                              \
                squares[j] += (obs[i * d + j] - sum[j]) * (obs[i * d + j] - sum[j]);                         \
        for (int64_t j = 0; j < width; j++) mean[j] = sum[j];                                                \
        for (int64_t j = 0; j < width; j++) m2[j] = squares[j] / size * size;                                \
    }                                                                                                        \
    static void name##_normalize(const type *obs, int64_t n, int64_t d, int64_t width, const double *mean,   \
                                 const double *scale, double limit, float *out) {                            \
        for (int64_t i = 0; i < n; i++)                                                                      \
            for (int64_t j = 0; j < width; j++)                                                              \
                out[i * d + j] = clipped(((double)obs[i * d + j] - mean[j]) / scale[j], limit);              \
    }
DEFINE_COLUMNS(float, float)
DEFINE_COLUMNS(double, double)

/* The same moments of a column that is an array of its own, whose numbers NumPy sums pairwise. */
static void moments_alone(const VecNormalizeStep *s, int64_t column, double *mean, double *m2) {
    const float *obs = (const float *)s->obs + column, n = (float)s->n;
    float *copy = (float *)s->scratch; /* as the numbers of a batch lie d apart */
    for (int64_t i = 0; i < s->n; i++) copy[i] = obs[i * s->d];
    const float average = pairwise_float_sum(copy, s->n) / n;
    for (int64_t i = 0; i < s->n; i++) copy[i] = (copy[i] - average) * (copy[i] - average);
    *mean = average;
    *m2 = pairwise_float_sum(copy, s->n) / n * n;
}

/* Take columns first, ..., first + width - 1 of the observations into their statistics. RunningMeanStd.update */
static void update_columns(VecNormalizeStep *s, int64_t first, int64_t width) {
    double mean[WIDTH], m2[WIDTH];
    if (s->doubles)
        double_moments((const double *)s->obs + first, s->n, s->d, width, mean, m2);
    else
        float_moments((const float *)s->obs + first, s->n, s->d, width, mean, m2);
    for (int64_t j = 0; j < width; j++) {
        const int64_t column = first + j;
        if (s->alone[column]) moments_alone(s, column, mean + j, m2 + j);
        combine(s->obs_mean + column, s->obs_var + column, s->obs_count[column], (double)s->n, mean[j], m2[j]);
    }
}

/* Normalise the same columns by the statistics. */
static void normalize_columns(VecNormalizeStep *s, int64_t first, int64_t width) {
    double scale[WIDTH];
    const double *mean = s->obs_mean + first;
    float *out = s->normalized_obs + first;
    for (int64_t j = 0; j < width; j++) scale[j] = sqrt(s->obs_var[first + j] + s->epsilon);
    if (s->doubles)
        double_normalize((const double *)s->obs + first, s->n, s->d, width, mean, scale, s->clip_obs, out);
    else
        float_normalize((const float *)s->obs + first, s->n, s->d, width, mean, scale, s->clip_obs, out);
}

static void step_observations(VecNormalizeStep *s) {
    for (int64_t first = 0; first < s->d; first += WIDTH) {
        const int64_t width = s->d - first < WIDTH ? s->d - first : WIDTH;
        if (s->training) update_columns(s, first, width);
        normalize_columns(s, first, width);
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
    if (s->norm_obs) step_observations(s);
    if (s->training) update_returns(s);
    if (s->norm_reward) normalize_rewards(s);
}
